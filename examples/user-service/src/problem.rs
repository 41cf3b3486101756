//! What goes wrong, and how it is told: `application/problem+json`, as the gateway and the issuer do.

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::{IntoResponse as _, Response};
use serde_json::json;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no such profile")]
    NotFound,
    #[error("the request did not come through the gateway")]
    NotBehindGateway,
    #[error("something went wrong on our side")]
    Internal,
}

impl From<rusqlite::Error> for Problem {
    fn from(failure: rusqlite::Error) -> Self {
        // The cause is for the operator; the client learns only that it was not his fault.
        eprintln!("error: database: {failure}");
        Self::Internal
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotBehindGateway => StatusCode::UNAUTHORIZED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn as_response(&self) -> Response {
        let reason = match self {
            Self::NotFound => "not_found",
            Self::NotBehindGateway => "missing_credential",
            Self::Internal => "internal",
        };
        response(self.status(), reason, &self.to_string())
    }
}

/// Refusals of the framework (no such route, a body that is no JSON) in the same form.
pub(crate) async fn from_framework(failure: poem::Error) -> Response {
    match failure.downcast_ref::<Problem>() {
        Some(problem) => problem.as_response(),
        None if failure.status() == StatusCode::NOT_FOUND => Problem::NotFound.as_response(),
        None => response(failure.status(), "bad_request", &failure.to_string()),
    }
}

fn response(status: StatusCode, reason: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("urn:doorward:problem:{reason}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    body.to_string().with_content_type("application/problem+json").with_status(status).into_response()
}
