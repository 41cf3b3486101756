use poem::http::StatusCode;

/// What can go wrong, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub(super) enum Reason {
    MalformedBody,
    MalformedCredential,
    SeveralCredentials,
    MissingCredential,
    InvalidCredentials,
    InvalidToken,
    Expired,
    Revoked,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    EmailTaken,
    UsernameTaken,
    Conflict,
    LastAdministrator,
    RoleKept,
    RoleOwned,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    TooManyAttempts,
    Internal,
    Overloaded,
    StoreUnavailable,
}

/// How a reason looks from outside.
pub(super) struct Wire {
    /// The last part of the problem's `type`.
    pub(super) name: &'static str,
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
}

impl Reason {
    /// The one table.
    #[rustfmt::skip]
    pub(super) const fn wire(self) -> Wire {
        use StatusCode as S;
        match self {
            Self::MalformedBody => wire("malformed_body", S::BAD_REQUEST,
                "Malformed body", "The body is not well-formed JSON."),
            Self::MalformedCredential => wire("malformed_credential", S::BAD_REQUEST,
                "Malformed credential", "The Authorization header must be: Bearer, a space, and a token."),
            Self::SeveralCredentials => wire("several_credentials", S::BAD_REQUEST,
                "Several credentials", "Send one Authorization header with one token."),
            Self::MissingCredential => wire("missing_credential", S::UNAUTHORIZED,
                "Credential missing", "Send a token in the Authorization header."),
            Self::InvalidCredentials => wire("invalid_credentials", S::UNAUTHORIZED,
                "Invalid credentials", "The login name or the password is not right."),
            Self::InvalidToken => wire("invalid_token", S::UNAUTHORIZED,
                "Invalid token", "The token is not valid."),
            Self::Expired => wire("expired", S::UNAUTHORIZED,
                "Token expired", "The token has expired."),
            Self::Revoked => wire("revoked", S::UNAUTHORIZED,
                "Token revoked", "The token has been revoked."),
            Self::Forbidden => wire("forbidden", S::FORBIDDEN,
                "Forbidden", "This is not allowed."),
            Self::NotFound => wire("not_found", S::NOT_FOUND,
                "Not found", "There is nothing here."),
            Self::MethodNotAllowed => wire("method_not_allowed", S::METHOD_NOT_ALLOWED,
                "Method not allowed", "This path does not take that method."),
            Self::RequestTimeout => wire("request_timeout", S::REQUEST_TIMEOUT,
                "Request timeout", "The body of the request did not arrive in time."),
            Self::EmailTaken => wire("email_taken", S::CONFLICT,
                "E-mail taken", "There is an account with this e-mail address."),
            Self::UsernameTaken => wire("username_taken", S::CONFLICT,
                "Username taken", "There is an account with this username."),
            Self::Conflict => wire(CONFLICT, S::CONFLICT,
                "Conflict", "Somebody else changed the same thing at the same moment; look, and try again."),
            Self::LastAdministrator => wire(CONFLICT, S::CONFLICT,
                "Conflict", "Nobody would be left who can administer: give somebody else the role first."),
            Self::RoleKept => wire(CONFLICT, S::CONFLICT,
                "Conflict", "This role has to be there."),
            Self::RoleOwned => wire(CONFLICT, S::CONFLICT,
                "Conflict", "Somebody has this role: take it from all who have it first."),
            Self::PayloadTooLarge => wire("payload_too_large", S::PAYLOAD_TOO_LARGE,
                "Payload too large", "The body is larger than 64 KiB."),
            Self::UnsupportedMediaType => wire("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type", "Send JSON, with the header Content-Type: application/json."),
            Self::ValidationFailed => wire("validation_failed", S::UNPROCESSABLE_ENTITY,
                "Validation failed", "Some fields are not acceptable."),
            Self::TooManyAttempts => wire("too_many_attempts", S::TOO_MANY_REQUESTS,
                "Too many attempts", "There were too many attempts; try again later."),
            Self::Internal => wire("internal", S::INTERNAL_SERVER_ERROR,
                "Internal error", "Something went wrong on our side."),
            Self::Overloaded => wire("overloaded", S::SERVICE_UNAVAILABLE,
                "Overloaded", "There is too much to do; try again later."),
            Self::StoreUnavailable => wire("store_unavailable", S::SERVICE_UNAVAILABLE,
                "Store unavailable", "The store does not answer; try again later."),
        }
    }

    /// The reason behind a bare status, such as the framework answers with.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            status if status.is_client_error() => Self::MalformedBody,
            _ => Self::Internal,
        }
    }

    /// What `WWW-Authenticate` says (RFC 6750).
    pub(super) fn challenge(self) -> Option<String> {
        match self {
            Self::MissingCredential => Some(r#"Bearer realm="doorward""#.to_owned()),
            Self::MalformedCredential | Self::SeveralCredentials => {
                Some(r#"Bearer error="invalid_request""#.to_owned())
            }
            Self::InvalidToken | Self::Expired | Self::Revoked => {
                let description = self.wire().detail.trim_end_matches('.');
                Some(format!(
                    r#"Bearer realm="doorward", error="invalid_token", error_description="{description}""#
                ))
            }
            _ => None,
        }
    }
}

const CONFLICT: &str = "conflict";

const fn wire(name: &'static str, status: StatusCode, title: &'static str, detail: &'static str) -> Wire {
    Wire { name, status, title, detail }
}
