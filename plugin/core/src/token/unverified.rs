//! Strict parsing of a JWS in compact form (RFC 7515, RFC 8725). What could be read two ways is refused before
//! any key is looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::keys::Algorithm;
use crate::{Reason, json};

/// A well-formed token that nobody has vouched for: it shows what is needed to find a key, and nothing else.
pub struct UnverifiedToken<'a> {
    pub(super) raw: &'a str,
    pub(super) signing_input: &'a str,
    pub(super) signature: Vec<u8>,
    pub(super) claims: Map<String, Value>,
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    typ: Option<String>,
    issuer: String,
}

impl std::fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Parses the compact form.
    ///
    /// # Errors
    /// [`Reason::MalformedToken`]: not three non-empty segments of canonical base64url; a header or payload that
    /// is not one JSON object, or has a member twice; `crit` or `b64`; a registered claim of the wrong type.
    /// [`Reason::UnknownProvider`] when there is no `iss`.
    pub fn parse(raw: &'a str) -> Result<Self, Reason> {
        let (signing_input, signature) = raw.rsplit_once('.').ok_or(Reason::MalformedToken)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Reason::MalformedToken)?;
        let signature = segment(signature)?;
        let header = json::parse_object(&segment(header)?).map_err(|_| Reason::MalformedToken)?;
        let claims = json::parse_object(&segment(payload)?).map_err(|_| Reason::MalformedToken)?;

        // `crit` names extensions that must be understood, and none is; `b64` changes what is signed (RFC 7797).
        if header.contains_key("crit") || header.contains_key("b64") || !registered_types_hold(&claims) {
            return Err(Reason::MalformedToken);
        }
        let algorithm = text(&header, "alg")?.ok_or(Reason::MalformedToken)?;
        let issuer = text(&claims, "iss")?.ok_or(Reason::UnknownProvider)?;
        Ok(Self {
            raw,
            signing_input,
            signature,
            algorithm: Algorithm::parse(&algorithm),
            kid: text(&header, "kid")?,
            typ: text(&header, "typ")?,
            issuer,
            claims,
        })
    }

    /// The algorithm that the token claims to be signed with, if it is one that exists here. `none` does not.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The name of the key that the token claims to be signed with.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Who the token claims to come from.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The media type, lower-cased and without `application/` (RFC 7515 section 4.1.9).
    pub(super) fn typ(&self) -> Option<String> {
        let typ = self.typ.as_ref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").unwrap_or(&typ).to_owned())
    }
}

/// Canonical base64url: no padding, no stray bits, no white space, never empty.
fn segment(text: &str) -> Result<Vec<u8>, Reason> {
    if text.is_empty() {
        return Err(Reason::MalformedToken);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Reason::MalformedToken)
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Reason> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Reason::MalformedToken),
    }
}

/// RFC 7519 section 4.1, with whole and non-negative seconds: a float or a string as `exp` is where verifiers
/// have disagreed.
fn registered_types_hold(claims: &Map<String, Value>) -> bool {
    claims.iter().all(|(name, value)| match name.as_str() {
        "iss" | "sub" | "jti" | "nonce" => value.is_string(),
        "exp" | "nbf" | "iat" | "auth_time" => value.is_u64(),
        "aud" => match value {
            Value::String(_) => true,
            Value::Array(items) => items.iter().all(Value::is_string),
            _ => false,
        },
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
    }

    const HEADER: &str = r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#;
    const PAYLOAD: &str = r#"{"iss":"https://i.test","sub":"u","exp":1}"#;

    #[test]
    fn a_plain_token_shows_what_finds_its_key() {
        let token = token(HEADER, PAYLOAD);
        let parsed = UnverifiedToken::parse(&token).unwrap();
        assert_eq!(parsed.algorithm(), Some(Algorithm::Es256));
        assert_eq!((parsed.kid(), parsed.issuer()), (Some("k"), "https://i.test"));
        assert_eq!(parsed.typ().as_deref(), Some("at+jwt"));
        assert!(!format!("{parsed:?}").contains("i.test"), "Debug shows no claims");
    }

    #[test]
    fn an_algorithm_that_does_not_exist_here_is_none() {
        for alg in ["none", "None", "NONE", "nOnE", "HS1", "PS256", "es256", ""] {
            let token = token(&format!(r#"{{"alg":"{alg}"}}"#), PAYLOAD);
            assert_eq!(UnverifiedToken::parse(&token).unwrap().algorithm(), None, "{alg}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_malformed() {
        let good = token(HEADER, PAYLOAD);
        let (h, rest) = good.split_once('.').unwrap();
        let (p, s) = rest.split_once('.').unwrap();
        let shapes = [
            String::new(),
            "...".into(),
            format!("{h}.{p}"),
            format!("{h}.{p}."),
            format!(".{p}.{s}"),
            format!("{h}..{s}"),
            format!("..{h}.{p}.{s}"),
            format!("{h}.{p}.{s}.{s}"),
            format!("{h}.{p}.{s}="),
            format!("{h}.{p}.{s}=="),
            format!("{h} .{p}.{s}"),
            format!("{h}.{p}.{s}\n"),
            format!("{h}.{p}.+{s}"),
            // The last character carries bits that decode to nothing: another spelling of the bytes of `QQ`.
            format!("{h}.{p}.QR"),
        ];
        for raw in shapes {
            assert_eq!(UnverifiedToken::parse(&raw).unwrap_err(), Reason::MalformedToken, "{raw}");
        }
        for header in [
            r#"{"alg":"ES256","alg":"HS256"}"#,
            r#"{"kid":"k"}"#,
            r#"{"alg":1}"#,
            r#"{"alg":null}"#,
            r#"["ES256"]"#,
            r#"{"alg":"ES256","crit":["x"]}"#,
            r#"{"alg":"ES256","crit":[]}"#,
            r#"{"alg":"ES256","b64":false}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","typ":[]}"#,
            "",
            "{}x",
            "\u{feff}{}",
        ] {
            assert_eq!(
                UnverifiedToken::parse(&token(header, PAYLOAD)).unwrap_err(),
                Reason::MalformedToken,
                "{header}"
            );
        }
        for claims in [
            r#""exp":"1""#,
            r#""exp":1.5"#,
            r#""exp":-1"#,
            r#""exp":1e400"#,
            r#""exp":1e3"#,
            r#""exp":true"#,
            r#""exp":null"#,
            r#""exp":99999999999999999999999"#,
            r#""nbf":"0""#,
            r#""iat":{}"#,
            r#""sub":1"#,
            r#""sub":null"#,
            r#""jti":1"#,
            r#""aud":1"#,
            r#""aud":["a",1]"#,
            r#""aud":null"#,
            r#""a":1,"a":2"#,
            r#""iss":"j""#,
        ] {
            let payload = format!(r#"{{"iss":"i",{claims}}}"#);
            assert_eq!(
                UnverifiedToken::parse(&token(HEADER, &payload)).unwrap_err(),
                Reason::MalformedToken,
                "{claims}"
            );
        }
        let anonymous = token(HEADER, r#"{"sub":"u","exp":1}"#);
        assert_eq!(UnverifiedToken::parse(&anonymous).unwrap_err(), Reason::UnknownProvider);
    }

    proptest! {
        #[test]
        fn never_panics(raw: String) {
            let _ = UnverifiedToken::parse(&raw);
        }

        #[test]
        fn each_token_has_one_spelling(cut in 0usize..200, with in "[A-Za-z0-9_=.-]{0,3}") {
            let good = token(HEADER, PAYLOAD);
            let at = cut.min(good.len());
            let other = format!("{}{with}{}", &good[..at], &good[(at + with.len()).min(good.len())..]);
            if let (Ok(a), Ok(b)) = (UnverifiedToken::parse(&good), UnverifiedToken::parse(&other)) {
                let same = a.signature == b.signature && a.claims == b.claims && a.signing_input == b.signing_input;
                prop_assert!(!same || good == other);
            }
        }
    }
}
