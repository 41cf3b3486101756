//! The certificate that the TLS listener shows in tests and on a developer's machine.

use std::path::{Path, PathBuf};

use crate::{Error, Result, files};

/// A self-signed certificate for `localhost`, in PEM files. It is its own root of trust.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate's file.
    pub chain: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
    /// The certificate itself, for clients that shall trust it.
    pub pem: String,
}

impl Certificate {
    /// Makes a new certificate in this directory.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn make(dir: &Path) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|failure| Error::unexpected("the certificate maker", failure.to_string()))?;
        files::private_dir(dir)?;
        let (chain, key, pem) = (dir.join("cert.pem"), dir.join("key.pem"), made.cert.pem());
        files::write_private(&chain, pem.as_bytes())?;
        files::write_private(&key, made.signing_key.serialize_pem().as_bytes())?;
        Ok(Self { chain, key, pem })
    }
}
