//! Ports that stay ours until they are used.
//!
//! Between finding a free port and a program's binding it, anybody else could take it. Two things keep that from
//! happening: the ports lie below the range from which the kernel serves outgoing connections, and each one is
//! locked across all processes that use this harness for as long as its [`Port`] lives.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

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
        let dir = std::env::temp_dir().join(format!("doorward-ports-{}", nix::unistd::getuid()));
        fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
        let path = dir.join(number.to_string());
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        let free = lock.try_lock().is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            && TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
        Ok(free.then_some(Self { number, _lock: lock }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
