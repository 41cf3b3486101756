use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::Store;
use crate::crypto::master_key::MasterKey;
use crate::domain::clock::{Random, random_uuid};

/// The master key that seals the keys in that store. A SQLite database may do without a configured one: then it is in a file
/// beside the database, readable by its owner alone, made once.
///
/// # Errors
/// When the file can be neither read nor made, when others may read it, or when it does not hold a key.
pub(super) fn of(store: &Store, random: &dyn Random) -> Result<Arc<MasterKey>, MasterKeyError> {
    match store {
        Store::Sqlite { master_key: Some(key), .. } | Store::MongoDb { master_key: key, .. } => {
            Ok(key.clone())
        }
        Store::Sqlite { path, master_key: None } => beside(path, random).map(Arc::new),
    }
}

fn beside(database: &Path, random: &dyn Random) -> Result<MasterKey, MasterKeyError> {
    at(&path_beside(database), random)
}

/// The master key in that file, which is made if there is none.
///
/// # Errors
/// As [`of`].
pub(super) fn at(path: &Path, random: &dyn Random) -> Result<MasterKey, MasterKeyError> {
    match read(path) {
        Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(path, random)?;
            // Read back what is there: another process may have been first.
            read(path)
        }
        read => read,
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file can be neither read nor made.
    #[error(
        "the master key {path} can be neither read nor made ({source}); let this user write there, or set keys.master_key"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the master key {0} may be read by others; run chmod 600 on it")]
    Exposed(PathBuf),
    /// It does not hold a key.
    #[error("the master key {0} does not hold 32 bytes in base64; restore it from a backup")]
    Malformed(PathBuf),
}

fn path_beside(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".master-key");
    database.with_file_name(name)
}

fn read(path: &Path) -> Result<MasterKey, MasterKeyError> {
    let failed = |source| MasterKeyError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::Exposed(path.to_owned()));
    }
    let text = Zeroizing::new(io::read_to_string(file).map_err(failed)?);
    MasterKey::parse(&text).map_err(|_| MasterKeyError::Malformed(path.to_owned()))
}

/// Whole or not at all, and never over another: written aside, then linked to its name.
fn make(path: &Path, random: &dyn Random) -> Result<(), MasterKeyError> {
    let aside = path.with_extension(random_uuid(random).to_string());
    let linked = write(&aside, random).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // Keys are sealed under it in a moment: by then it must not be lost in a power cut.
    let made = linked.and_then(|()| sync_folder(path));
    // If it stays behind, it is one more key that nothing uses.
    let _removed = fs::remove_file(&aside);
    made.map_err(|source| MasterKeyError::Io { path: path.to_owned(), source })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write(path: &Path, random: &dyn Random) -> io::Result<()> {
    let text = MasterKey::generate(random).to_base64();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", text.as_str())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("doorward.db");
        let first = beside(&database, &SystemRandom).unwrap();
        let again = beside(&database, &SystemRandom).unwrap();
        assert_eq!(first.to_base64(), again.to_base64());
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["doorward.db.master-key"]);
        let mode = fs::metadata(path_beside(&database)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn whoever_comes_second_takes_the_first_ones_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.db.master-key");
        make(&path, &SystemRandom).unwrap();
        let first = read(&path).unwrap();
        make(&path, &SystemRandom).unwrap();
        assert_eq!(first.to_base64(), read(&path).unwrap().to_base64());
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("doorward.db");
        beside(&database, &SystemRandom).unwrap();
        let path = path_beside(&database);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(beside(&database, &SystemRandom), Err(MasterKeyError::Exposed(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "AAAA").unwrap();
        assert!(matches!(beside(&database, &SystemRandom), Err(MasterKeyError::Malformed(_))));
    }

    #[test]
    fn a_place_where_nothing_can_be_written_is_named() {
        let error = beside(Path::new("/proc/doorward.db"), &SystemRandom).err().unwrap().to_string();
        assert!(error.starts_with("the master key /proc/doorward.db.master-key can be neither"), "{error}");
    }
}
