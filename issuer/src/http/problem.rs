use std::time::Duration;

use poem::http::{HeaderValue, header};
use poem::{Error, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use super::reason::Reason;
use crate::domain::administer_roles::AdministerRoleError;
use crate::domain::administer_users::AdministerUserError;
use crate::domain::authenticate::AuthError;
use crate::domain::change_password::ChangePasswordError;
use crate::domain::field::FieldError;
use crate::domain::login::LoginError;
use crate::domain::password_reset::PasswordResetError;
use crate::domain::ports::{SignError, StoreError};
use crate::domain::refresh::{RefreshError, RefreshRefusal};
use crate::domain::register::RegisterError;
use crate::domain::verify_email::VerifyEmailError;
use crate::telemetry::with_causes;

/// Something went wrong: what an operation answers instead of its result.
///
/// It becomes a document (RFC 9457) in [`render`], because only the edge knows the request id. The client reads fixed
/// words; the cause goes to the log, here, and nowhere else.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    reason: Reason,
    errors: Vec<WrongField>,
    retry_after: Option<Duration>,
}

/// One field that is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub(super) struct WrongField {
    /// Its name, or its path.
    pub(super) field: String,
    /// What is wrong with it.
    pub(super) message: String,
}

impl Problem {
    /// Fields that are not acceptable.
    pub(super) fn invalid(errors: Vec<WrongField>) -> Self {
        Self { reason: Reason::ValidationFailed, errors, retry_after: None }
    }

    /// One field that is not acceptable.
    pub(super) fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![WrongField { field: field.into(), message: message.into() }])
    }

    /// Fields that a flow does not accept.
    fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self::invalid(errors.into_iter().map(WrongField::from).collect())
    }

    /// The reason's name, for the log.
    pub(super) fn name(&self) -> &'static str {
        self.reason.wire().name
    }

    /// Too many attempts.
    pub(super) fn too_many_attempts(retry_after: Duration) -> Self {
        Self { reason: Reason::TooManyAttempts, errors: Vec::new(), retry_after: Some(retry_after) }
    }

    /// Too much to do.
    pub(super) fn overloaded(retry_after: Duration) -> Self {
        Self { reason: Reason::Overloaded, errors: Vec::new(), retry_after: Some(retry_after) }
    }
}

/// Turns whatever went wrong into a problem document, and leaves everything else alone.
///
/// This covers the framework's own refusals, which are plain text: an error that no operation made is known by its status.
pub(super) fn render(mut response: Response, request_id: &str) -> Response {
    let problem = match response.data::<Problem>() {
        Some(problem) => problem.clone(),
        None if is_bare_error(&response) => Problem::from(Reason::of(response.status())),
        None => return response,
    };
    let document = Document::new(&problem, request_id);
    response.set_status(problem.reason.wire().status);
    // A document of strings and numbers always serialises.
    response.set_body(serde_json::to_vec(&document).unwrap_or_default());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Some(challenge) = problem.reason.challenge().and_then(|text| text.try_into().ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(wait) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// Operations that answer an error status on purpose, such as `/health`, answer in JSON; the framework never does.
fn is_bare_error(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error())
        && response.content_type() != Some("application/json; charset=utf-8")
}

/// A problem (RFC 9457).
#[derive(Serialize, Object)]
#[oai(rename = "Problem")]
struct Document {
    /// `urn:doorward:problem:` and the reason.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    kind: String,
    /// The reason in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// One sentence about what to do.
    detail: String,
    /// The id under which the log knows this request.
    request_id: String,
    /// The fields that are not acceptable; with `validation_failed` alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[oai(skip_serializing_if_is_empty, default)]
    errors: Vec<WrongField>,
}

impl Document {
    fn new(problem: &Problem, request_id: &str) -> Self {
        let wire = problem.reason.wire();
        Self {
            kind: format!("urn:doorward:problem:{}", wire.name),
            title: wire.title.to_owned(),
            status: wire.status.as_u16(),
            detail: wire.detail.to_owned(),
            request_id: request_id.to_owned(),
            errors: problem.errors.clone(),
        }
    }
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Self {
        Self { reason, errors: Vec::new(), retry_after: None }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(cause = with_causes(&error), "the store failed a request");
        match error {
            StoreError::Unavailable(_) => {
                Self { retry_after: Some(Duration::from_secs(1)), ..Reason::StoreUnavailable.into() }
            }
            StoreError::Corrupt(_) => Reason::Internal.into(),
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Invalid(errors) => Self::invalid_fields(errors),
            RegisterError::EmailTaken => Reason::EmailTaken.into(),
            RegisterError::UsernameTaken => Reason::UsernameTaken.into(),
            RegisterError::Overloaded { retry_after } => Self::overloaded(retry_after),
            RegisterError::Store(error) => error.into(),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::InvalidCredentials => Reason::InvalidCredentials.into(),
            LoginError::TooManyAttempts { retry_after } => Self::too_many_attempts(retry_after),
            LoginError::Overloaded { retry_after } => Self::overloaded(retry_after),
            LoginError::Store(error) => error.into(),
            LoginError::Sign(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            // The client hears one word for all refusals, and has to do one thing about them: log in again.
            RefreshError::Refused(refusal) => {
                match refusal {
                    RefreshRefusal::Reused { session, user } => {
                        tracing::warn!(%session, %user, "a refresh token was used twice; its session was ended");
                    }
                    refusal => tracing::info!(reason = %refusal, "a refresh token was refused"),
                }
                Reason::InvalidToken.into()
            }
            RefreshError::Store(error) => error.into(),
            RefreshError::Sign(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::WrongPassword => Reason::InvalidCredentials.into(),
            ChangePasswordError::Refused(error) => Self::invalid(vec![error.into()]),
            ChangePasswordError::Revoked => Reason::Revoked.into(),
            ChangePasswordError::TooManyAttempts { retry_after } => Self::too_many_attempts(retry_after),
            ChangePasswordError::Overloaded { retry_after } => Self::overloaded(retry_after),
            ChangePasswordError::Store(error) => error.into(),
        }
    }
}

impl From<AdministerUserError> for Problem {
    fn from(error: AdministerUserError) -> Self {
        match error {
            AdministerUserError::Forbidden => Reason::Forbidden.into(),
            AdministerUserError::NotFound => Reason::NotFound.into(),
            AdministerUserError::Invalid(errors) => Self::invalid_fields(errors),
            AdministerUserError::EmailTaken => Reason::EmailTaken.into(),
            AdministerUserError::UsernameTaken => Reason::UsernameTaken.into(),
            AdministerUserError::LastAdministrator => Reason::LastAdministrator.into(),
            AdministerUserError::Conflict => Reason::Conflict.into(),
            AdministerUserError::Overloaded { retry_after } => Self::overloaded(retry_after),
            AdministerUserError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordResetError> for Problem {
    fn from(error: PasswordResetError) -> Self {
        match error {
            PasswordResetError::InvalidToken => Reason::InvalidToken.into(),
            PasswordResetError::Refused(error) => Self::invalid(vec![error.into()]),
            PasswordResetError::Overloaded { retry_after } => Self::overloaded(retry_after),
            PasswordResetError::Store(error) => error.into(),
        }
    }
}

impl From<AdministerRoleError> for Problem {
    fn from(error: AdministerRoleError) -> Self {
        match error {
            AdministerRoleError::Forbidden => Reason::Forbidden.into(),
            AdministerRoleError::NotFound => Reason::NotFound.into(),
            AdministerRoleError::Invalid(errors) => Self::invalid_fields(errors),
            AdministerRoleError::Kept => Reason::RoleKept.into(),
            AdministerRoleError::Owned => Reason::RoleOwned.into(),
            AdministerRoleError::LastAdministrator => Reason::LastAdministrator.into(),
            AdministerRoleError::Conflict => Reason::Conflict.into(),
            AdministerRoleError::Store(error) => error.into(),
        }
    }
}

impl From<VerifyEmailError> for Problem {
    fn from(error: VerifyEmailError) -> Self {
        match error {
            VerifyEmailError::InvalidToken => Reason::InvalidToken.into(),
            VerifyEmailError::Store(error) => error.into(),
        }
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        tracing::error!(cause = with_causes(&error), "a token could not be signed");
        Reason::Internal.into()
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid(refusal) => {
                // The client hears one word for all of these; the operator needs the exact one.
                tracing::info!(reason = %refusal, "a token was refused");
                Reason::InvalidToken.into()
            }
            AuthError::Expired => Reason::Expired.into(),
            AuthError::Revoked => Reason::Revoked.into(),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<FieldError> for WrongField {
    fn from(error: FieldError) -> Self {
        Self { field: error.field.to_owned(), message: error.message }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut error = Self::from_status(problem.reason.wire().status);
        error.set_data(problem);
        error
    }
}

/// Every operation has one `default` answer: a problem. The document then says which there are.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: CONTENT_TYPE, schema: Document::schema_ref() }];
        let response = MetaResponse {
            description: "A problem (RFC 9457)",
            status: None,
            status_range: None,
            content,
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        Document::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use poem::IntoResponse;
    use poem::http::StatusCode;
    use serde_json::Value;

    use super::*;

    async fn rendered(error: Error) -> (Response, Value) {
        let mut response = render(error.into_response(), "r-1");
        let body = response.take_body().into_json().await.unwrap();
        (response, body)
    }

    #[tokio::test]
    async fn a_problem_is_a_document_with_the_request_id() {
        let problem = Problem::invalid_field("email", "is required");
        let (response, body) = rendered(problem.into()).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.content_type(), Some("application/problem+json"));
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:doorward:problem:validation_failed",
                "title": "Validation failed",
                "status": 422,
                "detail": "Some fields are not acceptable.",
                "request_id": "r-1",
                "errors": [{"field": "email", "message": "is required"}],
            })
        );
    }

    #[tokio::test]
    async fn the_frameworks_own_words_never_leave() {
        for (status, reason) in [
            (StatusCode::NOT_FOUND, "not_found"),
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            (StatusCode::BAD_REQUEST, "malformed_body"),
            (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            (StatusCode::NOT_IMPLEMENTED, "internal"),
        ] {
            let (_, body) = rendered(Error::from_string("details about our insides", status)).await;
            assert_eq!(body["type"], format!("urn:doorward:problem:{reason}"));
            assert!(!body.to_string().contains("insides"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_store_that_is_down_is_a_503_without_a_word_about_hosts() {
        let cause = std::io::Error::other("connection to db-7.internal:27017 refused");
        let (response, body) = rendered(Problem::from(StoreError::unavailable(cause)).into()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(body["type"], "urn:doorward:problem:store_unavailable");
        assert!(!body.to_string().contains("db-7"), "{body}");
    }

    #[tokio::test]
    async fn bearers_are_challenged() {
        for (reason, challenge) in [
            (Reason::MissingCredential, r#"Bearer realm="doorward""#),
            (Reason::SeveralCredentials, r#"Bearer error="invalid_request""#),
            (
                Reason::Expired,
                r#"Bearer realm="doorward", error="invalid_token", error_description="The token has expired""#,
            ),
        ] {
            let (response, _) = rendered(Problem::from(reason).into()).await;
            assert_eq!(response.header("www-authenticate"), Some(challenge));
        }
        let (response, _) = rendered(Problem::from(Reason::InvalidCredentials).into()).await;
        assert_eq!(response.header("www-authenticate"), None);
    }

    #[tokio::test]
    async fn what_is_no_error_stays_as_it_is() {
        let mut response = render("hello".into_response(), "r-1");
        assert_eq!(response.take_body().into_string().await.unwrap(), "hello");
    }
}
