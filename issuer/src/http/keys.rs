use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::web::TypedHeader;
use poem::web::headers::{ETag, IfNoneMatch};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, OpenApi};
use sha2::{Digest, Sha256};

use crate::domain::keys::rules::JWKS_MAX_AGE;
use crate::domain::ports::Jwks;

/// The public keys, for everybody who verifies our tokens.
pub(super) struct KeysApi {
    pub(super) jwks: Arc<dyn Jwks>,
}

#[OpenApi]
impl KeysApi {
    /// The keys that verify access tokens
    ///
    /// A JSON Web Key Set (RFC 7517).
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self, known: Option<TypedHeader<IfNoneMatch>>) -> KeysAnswer {
        let document = self.jwks.document();
        let tag = entity_tag(&document);
        let max_age = JWKS_MAX_AGE.as_secs();
        let header = |tag: &str| (tag.to_owned(), format!("public, max-age={max_age}"));
        let (tag_header, caching) = header(&tag);
        let changed = match (known, tag.parse::<ETag>()) {
            (Some(TypedHeader(known)), Ok(tag)) => known.precondition_passes(&tag),
            _ => true,
        };
        if changed {
            KeysAnswer::Keys(PlainText(document.to_string()), tag_header, caching)
        } else {
            KeysAnswer::Unchanged(tag_header, caching)
        }
    }
}

#[derive(ApiResponse)]
enum KeysAnswer {
    /// The key set.
    // With a content type of its own it would be documented as a string.
    #[oai(status = 200, actual_type = "Json<Any<serde_json::Value>>")]
    Keys(
        PlainText<String>,
        /// Changes whenever the keys do.
        #[oai(header = "ETag")]
        String,
        #[oai(header = "Cache-Control")] String,
    ),
    /// The client has them already.
    #[oai(status = 304)]
    Unchanged(#[oai(header = "ETag")] String, #[oai(header = "Cache-Control")] String),
}

/// A strong tag: the same bytes have the same tag, on every replica.
fn entity_tag(document: &str) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(document)[..16]))
}
