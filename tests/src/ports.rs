//! Ports that stay ours until they are used.
//!
//! Between finding a free port and a program's binding it, anybody else could take it. Two things keep that from
//! happening: the ports lie below the range from which the kernel serves outgoing connections, and each one is
//! locked across all processes that use this harness for as long as its [`Port`] lives.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::{Error, Result};

const FIRST: u16 = 12_000;
const LAST: u16 = 29_999;

/// A port that nobody else has, and that no other process of ours will be given.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Any free port.
    ///
    /// # Errors
    /// When none is free.
    pub fn any() -> Result<Self> {
        // Each process begins elsewhere, so that parallel runs do not walk over the same taken ports.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let span = LAST - FIRST + 1;
        let offset = (std::process::id().wrapping_mul(101) % u32::from(span)) as u16;
        for _ in 0..span {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
            let number = FIRST + (u32::from(offset) + u32::from(step)).rem_euclid(u32::from(span)) as u16;
            if let Some(port) = Self::claim(number)? {
                return Ok(port);
            }
        }
        Err(Error::NoPort(FIRST, LAST))
    }

    /// This port and no other.
    ///
    /// # Errors
    /// When it is taken.
    pub fn exactly(number: u16) -> Result<Self> {
        Self::claim(number)?.ok_or(Error::PortTaken(number))
    }

    /// This port if it is free, else any.
    ///
    /// # Errors
    /// When none is free.
    pub fn rather(number: u16) -> Result<Self> {
        Self::claim(number)?.map_or_else(Self::any, Ok)
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// An `http` address of this port on the loopback interface, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.number)
    }

    fn claim(number: u16) -> Result<Option<Self>> {
        let dir = std::env::temp_dir().join(format!("doorward-ports-{}", geteuid()));
        own_dir(&dir)?;
        let lock = open_lock(&dir.join(number.to_string()))?;
        let free = lock.try_lock().is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            && TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
        Ok(free.then_some(Self { number, _lock: lock }))
    }
}

/// Makes the directory of the locks, or accepts the one that is there if it is ours: its name can be foretold, so
/// another user of this machine could have put something of his own in its place.
fn own_dir(dir: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(failure) if failure.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::file("create", dir)(failure));
        }
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(dir).map_err(Error::file("look at", dir))?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(Error::NotOurs(dir.to_owned()));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::file("protect", dir))
}

/// Opens a lock file without following a link and without touching what is in it.
fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options.open(path).map_err(Error::file("open", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_of_locks_that_is_a_link_or_a_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (made, link, file) =
            (place.path().join("made"), place.path().join("link"), place.path().join("file"));
        own_dir(&made).unwrap();
        own_dir(&made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        symlink(&made, &link).unwrap();
        fs::write(&file, "").unwrap();
        assert!(matches!(own_dir(&link), Err(Error::NotOurs(_))));
        assert!(matches!(own_dir(&file), Err(Error::NotOurs(_))));
    }

    #[test]
    fn a_lock_file_is_neither_followed_nor_emptied() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "kept").unwrap();
        symlink(&file, &link).unwrap();
        assert!(open_lock(&link).is_err());
        open_lock(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<Port> = (0..20).map(|_| Port::any().unwrap()).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 20);
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let port = Port::any().unwrap();
        assert!(matches!(Port::exactly(port.number()), Err(Error::PortTaken(_))));
        let number = port.number();
        drop(port);
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(matches!(Port::exactly(number), Err(Error::PortTaken(_))));
    }
}
