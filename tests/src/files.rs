//! Where things lie in the checkout, and writing files so that nobody sees half of one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The root of the checkout.
///
/// # Panics
/// Never: this package lies one level below the root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies inside the workspace")
}

/// Makes a directory that only its owner can look into.
///
/// # Errors
/// When the file system refuses.
pub fn private_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file("create", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(Error::file("protect", path))
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When the file system refuses.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::file("create a file in", dir))?;
    file.write_all(content).map_err(Error::file("write", path))?;
    file.persist(path)
        .map_err(|failure| Error::Io { doing: format!("write {}", path.display()), source: failure.error })?;
    Ok(())
}

/// Replaces a text that must stand in another exactly once: what was changed there since is noticed here.
///
/// # Errors
/// When it stands there never, or more than once.
pub fn replace_once(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        found => Err(Error::Substitution { text: from.to_owned(), expected: 1, found }),
    }
}

/// Finds a program on the `PATH`.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The last lines of a text file, for error messages.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
