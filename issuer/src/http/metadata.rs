use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

/// What software can find out about this issuer by itself.
pub(super) struct MetadataApi {
    /// The claim `iss`.
    pub(super) issuer: String,
}

#[OpenApi]
impl MetadataApi {
    /// What there is
    ///
    /// Authorization server metadata (RFC 8414). It names what the RFC and this issuer have in common and no more:
    /// logging in, refreshing and logging out are calls of this API and not OAuth grants, so there is no
    /// authorization or token endpoint.
    #[oai(path = "/.well-known/oauth-authorization-server", method = "get", operation_id = "metadata")]
    async fn metadata(&self) -> MetadataAnswer {
        let at = |path| format!("{}{path}", self.issuer.trim_end_matches('/'));
        let metadata = Metadata {
            issuer: self.issuer.clone(),
            jwks_uri: at("/.well-known/jwks.json"),
            service_documentation: at("/docs"),
            response_types_supported: Vec::new(),
            grant_types_supported: Vec::new(),
        };
        MetadataAnswer::Metadata(Json(metadata), "public, max-age=300".to_owned())
    }
}

#[derive(ApiResponse)]
enum MetadataAnswer {
    /// The metadata.
    #[oai(status = 200)]
    Metadata(Json<Metadata>, #[oai(header = "Cache-Control")] String),
}

#[derive(Object)]
struct Metadata {
    /// The `iss` of every token, to be compared exactly.
    issuer: String,
    /// Where the keys are that verify access tokens.
    jwks_uri: String,
    /// For people.
    service_documentation: String,
    /// None: there is no authorization endpoint.
    response_types_supported: Vec<String>,
    /// None: left out, it would mean the RFC's default.
    grant_types_supported: Vec<String>,
}
