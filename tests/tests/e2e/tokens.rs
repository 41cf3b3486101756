//! Tokens that must not pass. Each differs in one thing from a token that does.

use ring::hmac;
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::bare::Bare;
use crate::support::own_key::{OwnKey, now, signing_input};
use crate::support::problem::refusal;

const INVALID: &str = r#"Bearer realm="doorward", error="invalid_token", error_description="The access token is not valid here""#;
const EXPIRED: &str =
    r#"Bearer realm="doorward", error="invalid_token", error_description="The access token has expired""#;

#[test]
fn without_a_token_there_is_no_way_in() {
    let bare = Bare::start();
    let reply = bare.client().get("/users/ada").unwrap();
    assert_eq!(refusal(&reply), (401, "missing_credential".to_owned(), Some(r#"Bearer realm="doorward""#)));
    assert!(bare.echo.received("/users/ada").is_empty());
}

#[test]
fn a_bad_token_is_worth_nothing() {
    let bare = Bare::start();
    // The control: what the bad ones are derived from is good.
    let good = bare.token("ada");
    assert_eq!(bare.client().get_as(&good, "/users/ada").unwrap().status, 200);

    for (what, token) in bad_tokens(&bare.key, &good) {
        let reply = bare.client().get_as(&token, "/users/ada").unwrap();
        assert_ne!(reply.status, 200, "{what}");
        assert_eq!(refusal(&reply), (401, "invalid_token".to_owned(), Some(INVALID)), "{what}");
        assert_never_told(&reply.body, &token);
    }
    assert_eq!(bare.echo.received("/users/ada").len(), 1, "the control alone arrived");
}

#[test]
fn an_expired_token_is_told_apart() {
    let bare = Bare::start();
    let mut claims = Bare::claims("ada");
    claims["iat"] = json!(now() - 1000);
    claims["exp"] = json!(now() - 100);
    let token = bare.key.token(&claims);
    let reply = bare.client().get_as(&token, "/users/ada").unwrap();
    assert_eq!(refusal(&reply), (401, "expired".to_owned(), Some(EXPIRED)));
    assert_never_told(&reply.body, &token);
}

#[test]
fn two_credentials_are_none() {
    let bare = Bare::start();
    let good = bare.token("ada");
    let (client, header) = (bare.client(), format!("Bearer {good}"));
    let twice = client
        .send("GET", "/users/ada", &[("authorization", &header), ("authorization", &header)], vec![])
        .unwrap();
    let invalid_request = Some(r#"Bearer error="invalid_request""#);
    assert_eq!(refusal(&twice), (400, "several_credentials".to_owned(), invalid_request));

    let spaced = format!("Bearer {good} {good}");
    let joined = client.send("GET", "/users/ada", &[("authorization", &spaced)], vec![]).unwrap();
    assert_eq!(refusal(&joined), (400, "malformed_credential".to_owned(), invalid_request));
    assert!(bare.echo.received("/users/ada").is_empty());
}

/// The token is never echoed, and nothing of it ends in a log.
fn assert_never_told(body: &[u8], token: &str) {
    let body = String::from_utf8_lossy(body);
    assert!(token.split('.').all(|segment| segment.len() < 8 || !body.contains(segment)));
}

fn bad_tokens(key: &OwnKey, good: &str) -> Vec<(String, String)> {
    let mut bad = Vec::new();
    let mut add = |what: &str, token: String| bad.push((what.to_owned(), token));

    let segments: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = segments[..] else { panic!("three segments") };
    let other_payload = URL_SAFE_NO_PAD.encode(Bare::claims("bob").to_string());
    add("payload of another", format!("{header}.{other_payload}.{signature}"));
    add("signature changed", format!("{header}.{payload}.{}", changed(signature)));
    add("signature cut", format!("{header}.{payload}.{}", &signature[..signature.len() - 4]));
    add("signature empty", format!("{header}.{payload}."));
    add("payload empty", format!("{header}..{signature}"));
    add("two segments", format!("{header}.{payload}"));
    add("five segments", format!("{good}.a.b"));
    add("no token at all", "abc".to_owned());

    for alg in ["none", "None", "NONE", "nOnE"] {
        let input = signing_input(
            &json!({ "alg": alg, "typ": "at+jwt" }).to_string(),
            &Bare::claims("ada").to_string(),
        );
        add(&format!("alg {alg}, no signature"), format!("{input}."));
        let mut header = key.header();
        header["alg"] = json!(alg);
        add(&format!("alg {alg}, good signature"), key.sign(&header, &Bare::claims("ada")));
    }
    let mut header = key.header();
    header["alg"] = json!("HS256");
    let input = signing_input(&header.to_string(), &Bare::claims("ada").to_string());
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.public_point());
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, input.as_bytes()));
    add("the public key as a shared secret", format!("{input}.{mac}"));

    let stranger = OwnKey::new(key.kid);
    add("somebody else's key under our kid", stranger.token(&Bare::claims("ada")));
    for (member, value) in
        [("typ", json!("JWT")), ("kid", json!("../../etc/passwd")), ("crit", json!(["exp"]))]
    {
        let mut header = key.header();
        header[member] = value;
        add(&format!("header {member}"), key.sign(&header, &Bare::claims("ada")));
    }
    let mut header = key.header();
    header["jwk"] = serde_json::from_str::<Value>(&stranger.jwks()).unwrap()["keys"][0].clone();
    add("a key of its own", stranger.sign(&header, &Bare::claims("ada")));

    for (claim, value) in bad_claims() {
        let mut claims = Bare::claims("ada");
        claims[claim] = value.clone();
        add(&format!("{claim} is {value}"), key.token(&claims));
    }
    for claim in ["iss", "sub", "aud", "exp"] {
        let mut claims = Bare::claims("ada");
        claims.as_object_mut().unwrap().remove(claim);
        add(&format!("no {claim}"), key.token(&claims));
    }
    let claims = Bare::claims("ada").to_string();
    let twice = format!(r#"{{"sub":"bob",{}"#, &claims[1..]);
    add("a claim twice", key.sign_text(&key.header().to_string(), &twice));
    bad
}

fn bad_claims() -> Vec<(&'static str, Value)> {
    vec![
        ("aud", json!(["another"])),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("aud", json!(1)),
        ("iss", json!("https://auth.example.test/")),
        ("iss", json!("https://evil.example.test")),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("exp", json!((now() + 600).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("nbf", json!(now() + 3000)),
        ("nbf", json!("soon")),
        ("iat", json!(now() + 3000)),
    ]
}

/// The same length, another value: the first character carries whole bits only.
fn changed(signature: &str) -> String {
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &signature[1..])
}
