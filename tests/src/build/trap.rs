//! A module that crashes on demand: the same as any other but for one check in front of its first callback, so that
//! nothing for tests has to be in the code that ships.

use std::path::{Path, PathBuf};

use walrus::ir::BinaryOp;
use walrus::{FunctionBuilder, Module, ValType};

use crate::{Error, Result};

/// A request with at least so many headers makes the module execute `unreachable`, as a panic in it would.
pub const HEADERS: i32 = 80;

const CALLBACK: &str = "proxy_on_request_headers";

/// Writes a copy of the module that crashes on demand into this directory, and returns where.
///
/// # Errors
/// When the module cannot be read or written, or takes no request headers.
pub fn trapping(module: &Path, dir: &Path) -> Result<PathBuf> {
    let mut parsed = Module::from_file(module).map_err(problem)?;
    let original = parsed.exports.get_func(CALLBACK).map_err(problem)?;

    let arguments = [ValType::I32; 3].map(|kind| parsed.locals.add(kind));
    let [context, headers, end] = arguments;
    let mut wrapper = FunctionBuilder::new(&mut parsed.types, &[ValType::I32; 3], &[ValType::I32]);
    wrapper
        .func_body()
        .local_get(headers)
        .i32_const(HEADERS)
        .binop(BinaryOp::I32GeU)
        .if_else(
            None,
            |crash| {
                crash.unreachable();
            },
            |_| {},
        )
        .local_get(context)
        .local_get(headers)
        .local_get(end)
        .call(original);
    let wrapper = wrapper.finish(arguments.to_vec(), &mut parsed.funcs);
    parsed.exports.remove(CALLBACK).map_err(problem)?;
    parsed.exports.add(CALLBACK, wrapper);

    let trapping = dir.join("trapping.wasm");
    parsed.emit_wasm_file(&trapping).map_err(problem)?;
    Ok(trapping)
}

fn problem(error: impl std::fmt::Display) -> Error {
    Error::unexpected("the module", error.to_string())
}
