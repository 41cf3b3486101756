//! Takes out of the module what Envoy would call for nothing.

use std::path::{Path, PathBuf};

use walrus::Module;

use crate::{Error, Result};

/// What the plugin answers to. The SDK exports every callback of the ABI, and Envoy calls each that is there, on
/// every request; a callback that is not exported costs nothing.
const KEEP: [&str; 13] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_http_call_response",
    "proxy_on_delete",
];

/// Writes the module without needless exports, and without what only they used, and returns where.
///
/// # Errors
/// When the module cannot be read or written, or lacks an export that the plugin needs.
pub(super) fn trim(module: &Path) -> Result<PathBuf> {
    let problem = |reason: String| Error::Command { command: format!("trim {}", module.display()), reason };
    let mut parsed = Module::from_file(module).map_err(|error| problem(error.to_string()))?;
    if let Some(missing) = KEEP.iter().find(|name| !parsed.exports.iter().any(|export| export.name == **name))
    {
        return Err(problem(format!("the module does not export {missing}")));
    }
    let needless: Vec<_> = parsed
        .exports
        .iter()
        .filter(|export| !KEEP.contains(&export.name.as_str()))
        .map(walrus::Export::id)
        .collect();
    for id in needless {
        parsed.exports.delete(id);
    }
    walrus::passes::gc::run(&mut parsed);
    let trimmed = module.with_file_name("doorward.wasm");
    // Another process may be loading the file: replace it in one step.
    let unfinished = trimmed.with_extension(format!("{}.tmp", std::process::id()));
    parsed.emit_wasm_file(&unfinished).map_err(|error| problem(error.to_string()))?;
    std::fs::rename(&unfinished, &trimmed).map_err(Error::io(format!("write {}", trimmed.display())))?;
    Ok(trimmed)
}
