use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD, eventually};

const MINUTE: Duration = Duration::from_secs(60);

fn published(issuer: &Issuer) -> Vec<String> {
    let set = issuer.get("/.well-known/jwks.json").json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn log_in(issuer: &Issuer) -> String {
    issuer.login("a@b.com")["access_token"].as_str().unwrap().to_owned()
}

fn signed_by(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[test]
fn an_old_key_gets_a_successor_that_is_published_before_it_signs() {
    let issuer = Issuer::start_with(&[("keys.rotate_every", "10d")]);
    issuer.register("a@b.com");
    let [first] = published(&issuer).try_into().unwrap();
    let tag = issuer.get("/.well-known/jwks.json").header("etag").unwrap().to_owned();

    issuer.clock.advance(10 * 24 * 60 * MINUTE);
    eventually("a second key", || (published(&issuer).len() == 2).then_some(()));
    let answer = issuer.get("/.well-known/jwks.json");
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let old = log_in(&issuer);
    assert_eq!(signed_by(&old), first, "caches do not know the other yet");

    issuer.clock.advance(6 * MINUTE);
    let new = eventually("a token by the second key", || {
        Some(log_in(&issuer)).filter(|token| signed_by(token) != first)
    });
    for token in [&old, &new] {
        assert_eq!(issuer.me(token).status, 200);
    }
    issuer.clock.advance(61 * MINUTE);
    eventually("the end of the first key", || (published(&issuer) == [signed_by(&new)]).then_some(()));
}

#[test]
fn with_a_shared_secret_nothing_is_published_and_the_old_secret_still_counts() {
    const OLD: &str = "the secret before, and 32 bytes at least";
    const NEW: &str = "the secret of today, and 32 bytes at least";
    let before = Issuer::start_with(&[("token.algorithm", "HS256"), ("token.secret", OLD)]);
    assert_eq!(before.get("/.well-known/jwks.json").json(), json!({"keys": []}));
    before.register("a@b.com");
    let valid = |issuer: &Issuer, token: &str| {
        issuer.post("/auth/validate", &json!({"token": token})).json()["valid"] == true
    };
    let token = log_in(&before);
    assert!(valid(&before, &token));

    // The same database, as after a restart with other settings.
    let url = format!("sqlite://{}", before.database().display());
    let same = [("store.url", url.as_str()), ("token.algorithm", "HS256"), ("token.secret", NEW)];
    let after = Issuer::start_with(&[&same[..], &[("token.old_secret", OLD)]].concat());
    assert!(valid(&after, &token));
    let login = json!({"email": "a@b.com", "password": PASSWORD});
    let new = after.post("/auth/login", &login).json()["access_token"].as_str().unwrap().to_owned();
    assert!(valid(&after, &new) && !valid(&before, &new));
    assert!(!valid(&Issuer::start_with(&same), &token));
}
