//! An ordinary client. Any status is an answer; only a missing answer is an error.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::{Error, Result};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at this address.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self::build(base, TlsConfig::default())
    }

    /// A client that trusts this certificate and no other.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn trusting(base: &str, pem: &str) -> Result<Self> {
        let certificate = Certificate::from_pem(pem.as_bytes())
            .map_err(|why| Error::unexpected("the certificate", why.to_string()))?;
        let roots = RootCerts::new_with_certs(&[certificate]);
        Ok(Self::build(base, TlsConfig::builder().root_certs(roots).build()))
    }

    fn build(base: &str, tls: TlsConfig) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(20)))
            .tls_config(tls)
            .build();
        Self { agent: config.into(), base: base.to_owned() }
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, &[], Vec::new())
    }

    /// Asks for a path as the holder of a token.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn get_as(&self, token: &str, path: &str) -> Result<Reply> {
        self.send("GET", path, &[("authorization", &format!("Bearer {token}"))], Vec::new())
    }

    /// Posts a JSON body.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().into_bytes())
    }

    /// Sends anything.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Reply> {
        let url = format!("{}{path}", self.base);
        let failed =
            |why: &dyn std::fmt::Display| Error::unexpected(&format!("{method} {url}"), why.to_string());
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() {
            self.agent.run(request.body(()).map_err(|why| failed(&why))?)
        } else {
            self.agent.run(request.body(body).map_err(|why| failed(&why))?)
        };
        let (parts, mut body) = answer.map_err(|why| failed(&why))?.into_parts();
        let body = body.read_to_vec().map_err(|why| failed(&why))?;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|why| {
            Error::unexpected("the server", format!("{why} in {}", String::from_utf8_lossy(&self.body)))
        })
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
