//! What goes wrong, and how it is told: `application/problem+json`, as the gateway and the issuer do.

use std::sync::Arc;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::{Endpoint, IntoResponse as _, Request, Response};
use serde_json::json;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no such profile")]
    NotFound,
    #[error("the request did not come through the gateway")]
    NotBehindGateway,
    #[error("the body is not a well-formed change of a profile")]
    MalformedBody,
    #[error("the body is larger than 64 KiB")]
    TooLarge,
    #[error("some fields are not acceptable")]
    Invalid { field: &'static str, message: &'static str },
    #[error("this path does not take that method")]
    MethodNotAllowed,
    #[error("the request could not be understood")]
    BadRequest,
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
        self.wire().0
    }
}

impl Problem {
    /// Refusals of the framework have words of their own, which may repeat what the client sent.
    fn of(failure: &poem::Error) -> Self {
        if let Some(problem) = failure.downcast_ref::<Self>() {
            return problem.clone();
        }
        match failure.status() {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }

    fn wire(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::NotBehindGateway => (StatusCode::UNAUTHORIZED, "missing_credential"),
            Self::MalformedBody => (StatusCode::BAD_REQUEST, "malformed_body"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn response(&self, request_id: Option<&str>) -> Response {
        let (status, reason) = self.wire();
        let mut body = json!({
            "type": format!("urn:doorward:problem:{reason}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.to_string(),
            "request_id": request_id,
        });
        if let Self::Invalid { field, message } = self {
            body["errors"] = json!([{ "field": field, "message": message }]);
        }
        body.to_string().with_content_type("application/problem+json").with_status(status).into_response()
    }
}

/// Around all routes: whatever goes wrong is told in one form, with the id under which the gateway logs the request.
pub(crate) async fn told<E: Endpoint>(routes: Arc<E>, request: Request) -> poem::Result<Response> {
    let request_id = request.header("x-request-id").map(str::to_owned);
    match routes.call(request).await {
        Ok(output) => Ok(output.into_response()),
        Err(failure) => Ok(Problem::of(&failure).response(request_id.as_deref())),
    }
}
