//! What can be done to a token: to its header and claims before it is signed, to their texts, and to the whole.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::own_key::now;

/// An edit of the header or the claims: the token is signed again, with the right key.
pub(crate) type Edit = (&'static str, fn() -> Value);
/// An edit of header and claims as texts, before they are signed.
pub(crate) type TextEdit = (&'static str, fn(String, String) -> (String, String));
/// An edit of the finished token.
pub(crate) type TokenEdit = (&'static str, fn(&str) -> String);

pub(crate) const HEADER_EDITS: [Edit; 22] = [
    ("typ JWT", || json!({"typ": "JWT"})),
    ("typ absent", || json!({"typ": null})),
    ("typ in capitals", || json!({"typ": "AT+JWT"})),
    ("typ as a media type", || json!({"typ": "application/at+jwt"})),
    ("typ a number", || json!({"typ": 1})),
    ("kid absent", || json!({"kid": null})),
    ("kid unknown", || json!({"kid": "nobody"})),
    ("kid empty", || json!({"kid": ""})),
    ("kid a number", || json!({"kid": 7})),
    ("kid a path", || json!({"kid": "../../k1"})),
    ("alg none", || json!({"alg": "none"})),
    ("alg None", || json!({"alg": "None"})),
    ("alg HS256", || json!({"alg": "HS256"})),
    ("alg ES512", || json!({"alg": "ES512"})),
    ("alg PS256", || json!({"alg": "PS256"})),
    ("alg in small letters", || json!({"alg": "es256"})),
    ("alg absent", || json!({"alg": null})),
    ("alg a number", || json!({"alg": 256})),
    ("crit", || json!({"crit": ["exp"]})),
    ("crit empty", || json!({"crit": []})),
    ("b64 false", || json!({"b64": false})),
    ("a member more in the header", || json!({"cty": "x", "jku": "https://evil.example.test"})),
];

pub(crate) const CLAIM_EDITS: [Edit; 50] = [
    ("aud one string", || json!({"aud": "api"})),
    ("aud among others", || json!({"aud": ["web", "api"]})),
    ("aud another", || json!({"aud": ["web"]})),
    ("aud longer", || json!({"aud": "api2"})),
    ("aud with a slash", || json!({"aud": "https://api/"})),
    ("aud absent", || json!({"aud": null})),
    ("aud empty", || json!({"aud": []})),
    ("aud a number", || json!({"aud": 1})),
    ("aud mixed types", || json!({"aud": ["api", 1]})),
    ("iss another", || json!({"iss": "https://evil.example.test"})),
    ("iss with a slash", || json!({"iss": "https://auth.example.test/"})),
    ("iss absent", || json!({"iss": null})),
    ("iss a number", || json!({"iss": 1})),
    ("sub absent", || json!({"sub": null})),
    ("sub empty", || json!({"sub": ""})),
    ("sub a number", || json!({"sub": 7})),
    ("sub with spaces around", || json!({"sub": " ada"})),
    ("sub in Greek", || json!({"sub": "\u{3b1}\u{3b4}\u{3b1}"})),
    ("sub with line breaks", || json!({"sub": "a\r\nb"})),
    ("exp absent", || json!({"exp": null})),
    ("exp past", || json!({"exp": now() - 3000, "iat": now() - 3600})),
    ("exp past, within the skew", || json!({"exp": now() - 2})),
    ("exp zero", || json!({"exp": 0})),
    ("exp negative", || json!({"exp": -1})),
    ("exp a float", || json!({"exp": (now() + 600) as f64 + 0.5})),
    ("exp a string", || json!({"exp": (now() + 600).to_string()})),
    ("exp true", || json!({"exp": true})),
    ("exp an array", || json!({"exp": [now() + 600]})),
    ("exp far", || json!({"exp": now() + 7 * 24 * 3600})),
    ("exp huge", || json!({"exp": u64::MAX})),
    ("exp huge float", || json!({"exp": 1e300})),
    ("nbf past", || json!({"nbf": now() - 60})),
    ("nbf future", || json!({"nbf": now() + 3000})),
    ("nbf future, within the skew", || json!({"nbf": now() + 10})),
    ("nbf negative", || json!({"nbf": -1})),
    ("nbf a float", || json!({"nbf": (now() - 60) as f64 + 0.5})),
    ("nbf a string", || json!({"nbf": "0"})),
    ("nbf huge", || json!({"nbf": 1e300})),
    ("iat absent", || json!({"iat": null})),
    ("iat future", || json!({"iat": now() + 3000})),
    ("iat negative", || json!({"iat": -1})),
    ("iat a string", || json!({"iat": "now"})),
    ("iat a float", || json!({"iat": (now() - 60) as f64 + 0.5})),
    ("jti a number", || json!({"jti": 7})),
    ("roles a string", || json!({"roles": "user admin"})),
    ("roles a number", || json!({"roles": 7})),
    ("roles mixed types", || json!({"roles": ["user", 7]})),
    ("roles absent", || json!({"roles": null})),
    ("email a number", || json!({"email": 7})),
    ("email_verified a string", || json!({"email_verified": "true"})),
];

/// What the strictest reader of JSON would not read, or would read another way.
pub(crate) const TEXT_EDITS: [TextEdit; 10] = [
    ("a claim twice", |header, claims| (header, format!("{{\"sub\":\"bob\",{}", &claims[1..]))),
    ("a header member twice", |header, claims| (format!("{{\"typ\":\"at+jwt\",{}", &header[1..]), claims)),
    ("a member deep inside twice", |header, claims| {
        (header, format!("{{\"x\":{{\"a\":1,\"a\":2}},{}", &claims[1..]))
    }),
    ("white space around the claims", |header, claims| (header, format!(" \n{claims}\t "))),
    ("text after the claims", |header, claims| (header, format!("{claims}x"))),
    ("a comma too many", |header, claims| (header, format!("{},}}", &claims[..claims.len() - 1]))),
    ("claims an array", |header, claims| (header, format!("[{claims}]"))),
    ("claims empty", |header, _| (header, String::new())),
    ("a byte order mark", |header, claims| (header, format!("\u{feff}{claims}"))),
    ("a number that is none", |header, claims| (header, format!("{{\"n\":NaN,{}", &claims[1..]))),
];

/// Another spelling, or another shape.
pub(crate) const TOKEN_EDITS: [TokenEdit; 16] = [
    ("signature empty", |token| format!("{}.", without_signature(token))),
    ("signature absent", |token| without_signature(token).to_owned()),
    ("signature padded", |token| format!("{token}==")),
    ("signature padded once", |token| format!("{token}=")),
    ("payload padded", |token| pad(token, 1)),
    ("header padded", |token| pad(token, 0)),
    ("signature in the other alphabet", |token| recode(token, |bytes| STANDARD_NO_PAD.encode(bytes))),
    ("signature in base64url with padding", |token| recode(token, |bytes| URL_SAFE.encode(bytes))),
    ("stray bits in the signature", stray_bits),
    ("a segment more", |token| format!("{token}.AAAA")),
    ("an empty segment more", |token| format!("{token}.")),
    ("an empty segment in front", |token| format!(".{token}")),
    ("segments swapped", |token| {
        let parts: Vec<&str> = token.split('.').collect();
        format!("{}.{}.{}", parts[1], parts[0], parts[2])
    }),
    ("a byte more in the signature", |token| recode(token, |bytes| encode([bytes, &[0]].concat()))),
    ("a byte less in the signature", |token| recode(token, |bytes| encode(&bytes[..bytes.len() - 1]))),
    ("a zero byte in front of the signature", |token| recode(token, |bytes| encode([&[0], bytes].concat()))),
];

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn without_signature(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

/// The signature's bytes written another way.
fn recode(token: &str, write: impl FnOnce(&[u8]) -> String) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    // A token without a whole signature is left as it is: another edit came first.
    URL_SAFE_NO_PAD.decode(signature).map_or(token.to_owned(), |bytes| format!("{input}.{}", write(&bytes)))
}

/// Padding after one segment; a segment that needs none gets the wrong amount.
fn pad(token: &str, segment: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[segment].push('=');
    parts.join(".")
}

/// The bits of the last character that belong to no byte, set where there are any.
fn stray_bits(token: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let signature = token.rsplit('.').next().unwrap();
    let at = ALPHABET.find(token.chars().last().unwrap()).unwrap();
    if signature.len().is_multiple_of(4) {
        return format!("{}!", &token[..token.len() - 1]);
    }
    format!("{}{}", &token[..token.len() - 1], &ALPHABET[at + 1..at + 2])
}
