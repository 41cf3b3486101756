//! One table: what each refusal is to the client, and what it is to the operator.

use serde_json::json;

/// Why a request was refused. The exact reason goes to metric and log; the client sees [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The path could be read differently by two programs.
    AmbiguousPath,
    /// `Connection` nominates a protected header on an upgrade request.
    ProtectedHeader,
    /// More than one credential.
    SeveralCredentials,
    /// A credential that is not in the form of one.
    MalformedCredential,
    /// No credential where one is needed.
    MissingCredential,
    /// Not a JWS in compact form, or one that this gateway does not accept (`crit`, `typ`, claim types).
    MalformedToken,
    /// `iss` is nobody that is trusted here.
    UnknownProvider,
    /// The provider has no key of that name.
    UnknownKey,
    /// The signature is wrong, or made with an algorithm that the key or the provider does not allow.
    BadSignature,
    /// `exp` is past.
    Expired,
    /// `nbf` or `iat` is in the future.
    NotYetValid,
    /// `aud` names somebody else.
    WrongAudience,
    /// A claim is missing or is not what it should be.
    BadClaims,
    /// The token was withdrawn.
    Revoked,
    /// The rule's expression says no.
    RuleDenied,
    /// No rule matches, or the rule is `deny`.
    NoRule,
    /// A cookie's credential from another site.
    CrossSite,
    /// The provider's keys could not be had.
    KeysUnavailable,
    /// What is known of revocations is too old.
    RevocationsStale,
}

impl Reason {
    /// Every reason, for tables and metrics.
    pub const ALL: [Self; 19] = [
        Self::AmbiguousPath,
        Self::ProtectedHeader,
        Self::SeveralCredentials,
        Self::MalformedCredential,
        Self::MissingCredential,
        Self::MalformedToken,
        Self::UnknownProvider,
        Self::UnknownKey,
        Self::BadSignature,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongAudience,
        Self::BadClaims,
        Self::Revoked,
        Self::RuleDenied,
        Self::NoRule,
        Self::CrossSite,
        Self::KeysUnavailable,
        Self::RevocationsStale,
    ];

    /// The name used in metrics, logs and, save for the reasons about a bad token, in the problem's type.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().1
    }

    fn row(self) -> (&'static str, u16, Challenge, &'static str) {
        use Challenge::{InsufficientScope, InvalidRequest, InvalidToken, Login, Nothing};
        match self {
            Self::AmbiguousPath => {
                ("ambiguous_path", 400, Nothing, "The path has a form that programs read differently.")
            }
            Self::ProtectedHeader => (
                "protected_header",
                400,
                Nothing,
                "The Connection header names a header that only the gateway sets.",
            ),
            Self::SeveralCredentials => {
                ("several_credentials", 400, InvalidRequest, "Send exactly one credential.")
            }
            Self::MalformedCredential => (
                "malformed_credential",
                400,
                InvalidRequest,
                "The credential does not have the form of a bearer token.",
            ),
            Self::MissingCredential => {
                ("missing_credential", 401, Login, "This resource needs an access token.")
            }
            Self::MalformedToken => ("malformed_token", 401, InvalidToken, INVALID),
            Self::UnknownProvider => ("unknown_provider", 401, InvalidToken, INVALID),
            Self::UnknownKey => ("unknown_key", 401, InvalidToken, INVALID),
            Self::BadSignature => ("bad_signature", 401, InvalidToken, INVALID),
            Self::Expired => ("expired", 401, InvalidToken, "The access token has expired."),
            Self::NotYetValid => ("not_yet_valid", 401, InvalidToken, INVALID),
            Self::WrongAudience => ("wrong_audience", 401, InvalidToken, INVALID),
            Self::BadClaims => ("bad_claims", 401, InvalidToken, INVALID),
            Self::Revoked => ("revoked", 401, InvalidToken, "The access token has been revoked."),
            Self::RuleDenied => (
                "rule_denied",
                403,
                InsufficientScope,
                "The access token does not grant access to this resource.",
            ),
            Self::NoRule => ("no_rule", 403, Nothing, "This resource is not open to requests."),
            Self::CrossSite => {
                ("cross_site", 403, Nothing, "A cookie was sent with a request from another site.")
            }
            Self::KeysUnavailable => {
                ("keys_unavailable", 503, Nothing, "Access tokens cannot be checked right now; try again.")
            }
            Self::RevocationsStale => {
                ("revocations_stale", 503, Nothing, "Access tokens cannot be checked right now; try again.")
            }
        }
    }

    /// What the client is told: all flaws of a token are one, so that nobody can probe for what is trusted here.
    fn public_name(self) -> &'static str {
        match self.row() {
            (name, _, Challenge::InvalidToken, detail) if detail != INVALID => name,
            (_, _, Challenge::InvalidToken, _) => "invalid_token",
            (name, ..) => name,
        }
    }
}

const INVALID: &str = "The access token is not valid here.";

#[derive(Clone, Copy)]
enum Challenge {
    Nothing,
    Login,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Challenge {
    fn header(self, detail: &str) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Login => Some(r#"Bearer realm="doorward""#.to_owned()),
            Self::InvalidRequest => Some(r#"Bearer error="invalid_request""#.to_owned()),
            Self::InvalidToken => Some(format!(
                r#"Bearer realm="doorward", error="invalid_token", error_description="{}""#,
                detail.trim_end_matches('.')
            )),
            Self::InsufficientScope => {
                Some(r#"Bearer realm="doorward", error="insufficient_scope""#.to_owned())
            }
        }
    }
}

/// A refused request: the reason, and what an operator wants to know of it. Never holds a token or a claim's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The provider that the token named, once that is known to be one of ours.
    pub provider: Option<String>,
    /// The position in `rules` of the rule that applied, once one has matched.
    pub rule: Option<usize>,
    /// The `kid` of a token whose key was not found or did not fit, cut short: anybody can write anything there.
    pub kid: Option<String>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, provider: None, rule: None, kid: None }
    }
}

/// The local answer that the client gets instead of the service's (RFC 9457, RFC 6750).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// An `application/problem+json` document.
    pub body: String,
}

impl Reply {
    /// The answer for a refusal; `request_id` is echoed so that client and operator can speak of the same request.
    pub fn new(reason: Reason, request_id: Option<&str>) -> Self {
        let (_, status, challenge, detail) = reason.row();
        let name = reason.public_name();
        let mut headers = vec![
            ("content-type", "application/problem+json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        headers.extend(challenge.header(detail).map(|value| ("www-authenticate", value)));
        if status == 503 {
            headers.push(("retry-after", "1".to_owned()));
        }
        let mut problem = json!({
            "type": format!("urn:doorward:problem:{name}"),
            "title": title(status),
            "status": status,
            "detail": detail,
        });
        if let (Some(id), Some(members)) = (request_id, problem.as_object_mut()) {
            members.insert("request_id".to_owned(), id.into());
        }
        Self { status, headers, body: problem.to_string() }
    }

    /// The answer when the host itself failed: nobody's fault but ours, and nobody passes.
    pub fn broken() -> Self {
        let problem = json!({
            "type": "urn:doorward:problem:internal",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "The gateway could not handle this request.",
        });
        let headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { status: 500, headers, body: problem.to_string() }
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(reason: Reason) -> Option<String> {
        Reply::new(reason, None).headers.into_iter().find(|(n, _)| *n == "www-authenticate").map(|(_, v)| v)
    }

    #[test]
    fn every_reason_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn a_flaw_of_a_token_is_one_reason_to_the_client_save_expired_and_revoked() {
        for reason in Reason::ALL.into_iter().filter(|r| r.status() == 401 && *r != Reason::MissingCredential)
        {
            let public = match reason {
                Reason::Expired => "expired",
                Reason::Revoked => "revoked",
                _ => "invalid_token",
            };
            let reply = Reply::new(reason, Some("r-1"));
            let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(body["type"], format!("urn:doorward:problem:{public}"));
            assert_eq!(body["request_id"], "r-1");
            assert!(
                challenge(reason)
                    .unwrap()
                    .starts_with(r#"Bearer realm="doorward", error="invalid_token", error_description=""#)
            );
        }
    }

    #[test]
    fn the_challenge_fits_the_status() {
        for reason in Reason::ALL {
            assert_eq!(
                reason.status() == 401,
                challenge(reason).is_some_and(|c| c.contains("realm") && !c.contains("scope"))
            );
        }
        assert_eq!(
            challenge(Reason::RuleDenied).unwrap(),
            r#"Bearer realm="doorward", error="insufficient_scope""#
        );
        assert_eq!(challenge(Reason::SeveralCredentials).unwrap(), r#"Bearer error="invalid_request""#);
        assert_eq!(challenge(Reason::NoRule), None);
    }

    #[test]
    fn an_outage_asks_to_come_back() {
        let reply = Reply::new(Reason::KeysUnavailable, None);
        assert!(reply.headers.contains(&("retry-after", "1".to_owned())));
        assert!(!reply.body.contains("request_id"));
    }
}
