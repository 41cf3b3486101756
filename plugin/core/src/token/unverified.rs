//! Strict parsing of a JWS in compact form (RFC 7515, RFC 8725). What could be read two ways is refused before
//! any key is looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Reason;
use crate::json::{Json, Members};
use crate::keys::Algorithm;

/// The three parts of a token, decoded. What is read from them borrows from here.
pub struct Segments<'a> {
    raw: &'a str,
    signing_input: &'a str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Segments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments").finish_non_exhaustive()
    }
}

impl<'a> Segments<'a> {
    /// Takes a token in compact form apart.
    ///
    /// # Errors
    /// [`Reason::MalformedToken`] for anything but three non-empty segments of canonical base64url.
    pub fn decode(raw: &'a str) -> Result<Self, Reason> {
        let (signing_input, signature) = raw.rsplit_once('.').ok_or(Reason::MalformedToken)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Reason::MalformedToken)?;
        Ok(Self {
            raw,
            signing_input,
            header: segment(header)?,
            payload: segment(payload)?,
            signature: segment(signature)?,
        })
    }
}

/// A well-formed token that nobody has vouched for: it shows what is needed to find a key, and nothing else.
pub struct UnverifiedToken<'a> {
    pub(super) raw: &'a str,
    pub(super) signing_input: &'a str,
    pub(super) signature: &'a [u8],
    pub(super) claims: Members<'a>,
    header: Members<'a>,
    algorithm: Option<Algorithm>,
}

impl std::fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Reads header and payload.
    ///
    /// # Errors
    /// [`Reason::MalformedToken`]: a header or payload that is not one JSON object, or has a member twice; `crit`
    /// or `b64`; a member of the wrong type. [`Reason::UnknownProvider`] when there is no `iss`.
    pub fn parse(segments: &'a Segments<'a>) -> Result<Self, Reason> {
        let header = Members::parse(&segments.header).map_err(|_| Reason::MalformedToken)?;
        let claims = Members::parse(&segments.payload).map_err(|_| Reason::MalformedToken)?;
        if !header_holds(&header) || !registered_types_hold(&claims) {
            return Err(Reason::MalformedToken);
        }
        let algorithm = text(&header, "alg").ok_or(Reason::MalformedToken).map(Algorithm::parse)?;
        if text(&claims, "iss").is_none() {
            return Err(Reason::UnknownProvider);
        }
        Ok(Self {
            raw: segments.raw,
            signing_input: segments.signing_input,
            signature: &segments.signature,
            claims,
            header,
            algorithm,
        })
    }

    /// The algorithm that the token claims to be signed with, if it is one that exists here. `none` does not.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The name of the key that the token claims to be signed with.
    pub fn kid(&self) -> Option<&str> {
        text(&self.header, "kid")
    }

    /// Who the token claims to come from.
    pub fn issuer(&self) -> &str {
        text(&self.claims, "iss").unwrap_or_default()
    }

    /// The media type, lower-cased and without `application/` (RFC 7515 section 4.1.9).
    pub(super) fn typ(&self) -> Option<String> {
        let typ = text(&self.header, "typ")?.to_ascii_lowercase();
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

fn text<'m>(members: &'m Members<'_>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Json::as_str)
}

/// `crit` names extensions that must be understood, and none is; `b64` changes what is signed (RFC 7797).
fn header_holds(header: &Members<'_>) -> bool {
    header.iter().all(|(name, value)| match name {
        "alg" | "kid" | "typ" => value.as_str().is_some(),
        "crit" | "b64" => false,
        _ => true,
    })
}

/// RFC 7519 section 4.1 and what RFC 9068 and our own issuer add, with whole and non-negative seconds: a float or a string as `exp` is where verifiers
/// have disagreed.
fn registered_types_hold(claims: &Members<'_>) -> bool {
    claims.iter().all(|(name, value)| match name {
        "iss" | "sub" | "jti" | "nonce" | "client_id" | "sid" => value.as_str().is_some(),
        "exp" | "nbf" | "iat" | "auth_time" | "epoch" => value.as_u64().is_some(),
        "aud" => match value {
            Json::Text(_) => true,
            Json::List(items) => items.iter().all(|item| item.as_str().is_some()),
            _ => false,
        },
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The algorithm that a token shows, or why it is refused.
    fn parse(raw: &str) -> Result<Option<Algorithm>, Reason> {
        UnverifiedToken::parse(&Segments::decode(raw)?).map(|token| token.algorithm())
    }

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
        let segments = Segments::decode(&token).unwrap();
        let parsed = UnverifiedToken::parse(&segments).unwrap();
        assert_eq!(parsed.algorithm(), Some(Algorithm::Es256));
        assert_eq!((parsed.kid(), parsed.issuer()), (Some("k"), "https://i.test"));
        assert_eq!(parsed.typ().as_deref(), Some("at+jwt"));
        assert!(!format!("{parsed:?}").contains("i.test"), "Debug shows no claims");
    }

    #[test]
    fn an_algorithm_that_does_not_exist_here_is_none() {
        for alg in ["none", "None", "NONE", "nOnE", "HS1", "PS256", "es256", ""] {
            let token = token(&format!(r#"{{"alg":"{alg}"}}"#), PAYLOAD);
            assert_eq!(parse(&token), Ok(None), "{alg}");
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
            assert_eq!(parse(&raw).unwrap_err(), Reason::MalformedToken, "{raw}");
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
            assert_eq!(parse(&token(header, PAYLOAD)).unwrap_err(), Reason::MalformedToken, "{header}");
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
            r#""sid":5"#,
            r#""client_id":7"#,
            r#""epoch":"1""#,
            r#""aud":1"#,
            r#""aud":["a",1]"#,
            r#""aud":null"#,
            r#""a":1,"a":2"#,
            r#""iss":"j""#,
        ] {
            let payload = format!(r#"{{"iss":"i",{claims}}}"#);
            assert_eq!(parse(&token(HEADER, &payload)).unwrap_err(), Reason::MalformedToken, "{claims}");
        }
        let anonymous = token(HEADER, r#"{"sub":"u","exp":1}"#);
        assert_eq!(parse(&anonymous).unwrap_err(), Reason::UnknownProvider);
    }

    proptest! {
        #[test]
        fn never_panics(raw: String) {
            let _ = parse(&raw);
        }

        #[test]
        fn each_token_has_one_spelling(cut in 0usize..200, with in "[A-Za-z0-9_=.-]{0,3}") {
            let good = token(HEADER, PAYLOAD);
            let at = cut.min(good.len());
            let other = format!("{}{with}{}", &good[..at], &good[(at + with.len()).min(good.len())..]);
            if let (Ok(a), Ok(b)) = (Segments::decode(&good), Segments::decode(&other)) {
                let same = (&a.header, &a.payload, &a.signature) == (&b.header, &b.payload, &b.signature);
                prop_assert!(!same || good == other);
            }
        }
    }
}
