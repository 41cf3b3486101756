use std::collections::BTreeMap;

use crate::policy::config::{ConfigError, Provider};
use crate::policy::headers::HeaderPlan;
use crate::policy::schema::TokenSourceConfig;
use crate::token::TokenSource;

pub(super) fn compile_sources(
    sources: Vec<TokenSourceConfig>,
    origins: &[String],
) -> Result<Vec<TokenSource>, ConfigError> {
    if let Some(index) = origins.iter().position(|o| !o.contains("://") || o.ends_with('/')) {
        let message = "expected scheme, host and port only, such as https://app.example.test";
        return Err(ConfigError::new(format!("allowed_origins[{index}]"), message));
    }
    if sources.is_empty() {
        return Err(ConfigError::new("token_sources", "at least one source is needed"));
    }
    let mut compiled = Vec::new();
    for (index, source) in sources.into_iter().enumerate() {
        let fail = |message| Err(ConfigError::new(format!("token_sources[{index}]"), message));
        let (name, source) = match source {
            TokenSourceConfig::Header(name) => {
                let name = name.to_ascii_lowercase();
                (name.clone(), TokenSource::Header(name.into()))
            }
            TokenSourceConfig::Cookie(name) => (name.clone(), TokenSource::Cookie(name.into())),
            TokenSourceConfig::Query(name) => (name.clone(), TokenSource::Query(name.into())),
        };
        if !is_token(&name) || matches!(&source, TokenSource::Header(name) if &**name == "cookie") {
            return fail("not a name that can be used here");
        }
        if compiled.contains(&source) {
            return fail("stands twice");
        }
        compiled.push(source);
    }
    Ok(compiled)
}

pub(super) fn compile_headers(
    headers: Option<BTreeMap<String, String>>,
    providers: &[Provider],
) -> Result<HeaderPlan, ConfigError> {
    let Some(headers) = headers else { return Ok(HeaderPlan::new(None)) };
    for (header, claim) in &headers {
        let fail = |message: &str| Err(ConfigError::new(format!("headers.{header}"), message));
        if !is_token(header) || header.bytes().any(|b| b.is_ascii_uppercase()) {
            return fail("expected a header name in lower case");
        }
        if [
            "authorization",
            "connection",
            "content-length",
            "cookie",
            "host",
            "te",
            "transfer-encoding",
            "upgrade",
        ]
        .contains(&header.as_str())
        {
            return fail("this header has a meaning of its own");
        }
        if claim != "provider" && !providers.iter().any(|p| p.claims.knows(claim)) {
            return fail(&format!("no provider has a claim called {claim}"));
        }
    }
    Ok(HeaderPlan::new(Some(headers.into_iter().collect())))
}

/// `token` of RFC 9110 section 5.6.2: what header and cookie names are made of.
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
