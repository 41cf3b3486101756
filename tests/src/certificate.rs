//! The certificate that the TLS listener shows in tests and on a developer's machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Error, Result, files};

/// A self-signed certificate, in PEM files. It is its own root of trust.
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
    /// Makes a new certificate for this machine in this directory.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn make(dir: &Path) -> Result<Self> {
        Self::make_for(&["localhost", "127.0.0.1"], dir)
    }

    /// Makes a new certificate for these names in this directory.
    ///
    /// # Errors
    /// When a name is none, or the files cannot be written.
    pub fn make_for(names: &[&str], dir: &Path) -> Result<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|failure| Error::unexpected("the certificate maker", failure.to_string()))?;
        files::private_dir(dir)?;
        let (chain, key, pem) = (dir.join("cert.pem"), dir.join("key.pem"), made.cert.pem());
        files::write_private(&chain, pem.as_bytes())?;
        files::write_private(&key, made.signing_key.serialize_pem().as_bytes())?;
        Ok(Self { chain, key, pem })
    }

    /// How a server of ours shows it.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn server_config(&self) -> Result<ServerConfig> {
        let unusable = |why: &dyn std::fmt::Display| Error::unexpected("the certificate", why.to_string());
        let chain = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|why| unusable(&why))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|why| unusable(&why))?;
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
            .map_err(|why| unusable(&why))
    }
}
