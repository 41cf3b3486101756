use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::crypto::testing::House;
use crate::domain::clock::later;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::keys::KeyId;

const SECRET: &[u8] = b"a secret that everybody here knows";

fn settings() -> SignerSettings {
    SignerSettings {
        issuer: "https://auth.example.test".into(),
        audiences: vec!["api".into()],
        client_id: "first-party".into(),
    }
}

async fn signer(algorithm: SigningAlgorithm) -> Signer {
    let ring = House::new(Some(algorithm)).open().await;
    Signer::new(ring, &Signing::Ring(algorithm), settings()).unwrap()
}

async fn shared(secret: &[u8], old: Option<&[u8]>) -> Result<Signer, ShortSecret> {
    let bytes = |secret: &[u8]| Zeroizing::new(secret.to_vec());
    let signing = Signing::Shared { secret: bytes(secret), old: old.map(bytes) };
    Signer::new(House::new(None).open().await, &signing, settings())
}

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        id: Uuid::from_u128(1),
        subject: UserId::from(Uuid::from_u128(2)),
        session: SessionId::from(Uuid::from_u128(3)),
        epoch: 7,
        email: Email::parse("a@b.com").unwrap(),
        email_verified: false,
        username: None,
        roles: vec![RoleName::parse("user").unwrap(), RoleName::parse("PROVIDER").unwrap()],
        permissions: ["users:read", "orders:read"].map(|name| Permission::parse(name).unwrap()).into(),
        authenticated_at: now(),
        issued_at: now(),
        expires_at: later(now(), Duration::from_secs(900)),
    }
}

fn part(token: &str, at: usize) -> Value {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn the_token_says_exactly_what_the_contract_says() {
    let signer = signer(SigningAlgorithm::Es256).await;
    let token = signer.sign(&claims()).unwrap();
    let jwks: Value = serde_json::from_str(&signer.document()).unwrap();
    let header = json!({"alg": "ES256", "kid": jwks["keys"][0]["kid"], "typ": "at+jwt"});
    assert_eq!(part(&token, 0), header);
    let body = json!({
        "iss": "https://auth.example.test", "sub": Uuid::from_u128(2), "aud": ["api"], "client_id": "first-party",
        "iat": 1_893_553_445, "exp": 1_893_554_345, "jti": Uuid::from_u128(1), "sid": Uuid::from_u128(3), "epoch": 7,
        "email": "a@b.com", "email_verified": false, "roles": ["user", "PROVIDER"],
        "permissions": ["orders:read", "users:read"], "auth_time": 1_893_553_445,
    });
    assert_eq!(part(&token, 1), body);
    let named = AccessClaims { username: Some(Username::parse("alice").unwrap()), ..claims() };
    assert_eq!(part(&signer.sign(&named).unwrap(), 1)["username"], "alice");
}

#[tokio::test]
async fn audiences_are_there_once_and_in_the_configured_order() {
    let audiences = ["web", "api", "mobile", "admin", "batch", "reports", "a", "z"].map(str::to_owned);
    let settings = SignerSettings { audiences: audiences.to_vec(), ..settings() };
    let signer = Signer { settings, ..signer(SigningAlgorithm::Es256).await };
    let token = signer.sign(&claims()).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert_eq!(payload.matches("\"aud\":").count(), 1, "{payload}");
    assert_eq!(part(&token, 1)["aud"], json!(audiences));
    assert_eq!(signer.verify(&token, now()).await, Ok(claims()));
}

#[tokio::test]
async fn every_algorithm_knows_its_own_tokens_and_publishes_its_key() {
    for (algorithm, alg, members) in [
        (SigningAlgorithm::Es256, "ES256", vec!["crv", "kty", "x", "y"]),
        (SigningAlgorithm::EdDsa, "EdDSA", vec!["crv", "kty", "x"]),
        (SigningAlgorithm::Rs256, "RS256", vec!["e", "kty", "n"]),
    ] {
        let signer = signer(algorithm).await;
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.verify(&token, now()).await, Ok(claims()), "{alg}");
        assert_eq!(part(&token, 0)["alg"], alg);
        let jwks: Value = serde_json::from_str(&signer.document()).unwrap();
        let key = jwks["keys"][0].as_object().unwrap();
        let mut expected = [members, vec!["alg", "kid", "use"]].concat();
        expected.sort_unstable();
        assert_eq!(key.keys().collect::<Vec<_>>(), expected, "{alg}: nothing private, nothing missing");
        assert_eq!((&key["alg"], &key["use"]), (&json!(alg), &json!("sig")));
        assert_eq!(key["kid"].as_str().map(str::len), Some(43), "a SHA-256 thumbprint");
    }
}

#[tokio::test]
async fn a_shared_secret_publishes_nothing() {
    let signer = shared(SECRET, None).await.unwrap();
    assert_eq!(&*signer.document(), r#"{"keys":[]}"#);
    let token = signer.sign(&claims()).unwrap();
    assert_eq!(part(&token, 0), json!({"alg": "HS256", "typ": "at+jwt"}));
    assert_eq!(signer.verify(&token, now()).await, Ok(claims()));
    for (secret, old) in [(&SECRET[..31], None), (SECRET, Some(&SECRET[..31]))] {
        assert!(matches!(shared(secret, old).await, Err(ShortSecret)));
    }
}

#[tokio::test]
async fn a_token_dies_in_the_second_that_it_names() {
    let signer = signer(SigningAlgorithm::Es256).await;
    let token = signer.sign(&claims()).unwrap();
    let end = claims().expires_at;
    assert!(signer.verify(&token, end - jiff::SignedDuration::from_millis(1)).await.is_ok());
    assert_eq!(signer.verify(&token, end).await, Err(TokenRefusal::Expired));
    assert_eq!(
        signer.verify(&token, end + jiff::SignedDuration::from_secs(1)).await,
        Err(TokenRefusal::Expired)
    );
}

#[tokio::test]
async fn strangers_tokens_are_refused() {
    let ours = signer(SigningAlgorithm::Es256).await;
    let token = ours.sign(&claims()).unwrap();
    let strangers = signer(SigningAlgorithm::Es256).await.sign(&claims()).unwrap();
    assert_eq!(ours.verify(&strangers, now()).await, Err(TokenRefusal::UnknownKey));

    let kid = part(&token, 0)["kid"].clone();
    let with_header = |header: Value| {
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{}", token.split_once('.').unwrap().1)
    };
    for (header, refusal) in [
        (json!({"alg": "none", "typ": "at+jwt", "kid": kid}), TokenRefusal::BadSignature),
        (json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}), TokenRefusal::BadSignature),
        (json!({"alg": "ES256", "typ": "at+jwt", "kid": "other"}), TokenRefusal::UnknownKey),
        (json!({"alg": "ES256", "typ": "at+jwt"}), TokenRefusal::UnknownKey),
        (json!({"alg": "ES256", "typ": "JWT", "kid": kid}), TokenRefusal::Malformed),
        (json!({"alg": "ES256", "kid": kid}), TokenRefusal::Malformed),
    ] {
        assert_eq!(ours.verify(&with_header(header.clone()), now()).await, Err(refusal), "{header}");
    }
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for text in ["", "a", "a.b", "..", &unsigned, &format!("{token}A"), &format!("{token}.x"), &token[1..]] {
        assert!(ours.verify(text, now()).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn only_this_issuer_and_its_audiences_count() {
    let ours = shared(SECRET, None).await.unwrap();
    for settings in [
        SignerSettings { issuer: "https://other.example.test".into(), ..settings() },
        SignerSettings { audiences: vec!["other".into()], ..settings() },
    ] {
        let other = Signer { settings, ..shared(SECRET, None).await.unwrap() };
        let token = other.sign(&claims()).unwrap();
        assert_eq!(ours.verify(&token, now()).await, Err(TokenRefusal::BadClaims));
    }
}

#[tokio::test]
async fn a_changed_byte_is_noticed() {
    let ours = signer(SigningAlgorithm::EdDsa).await;
    let token = ours.sign(&claims()).unwrap();
    let body = token.find('.').unwrap() + 1;
    for at in (body..token.len()).step_by(7).filter(|at| token.as_bytes()[*at] != b'.') {
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        assert!(ours.verify(&changed, now()).await.is_err(), "byte {at}");
    }
}

#[tokio::test]
async fn two_secrets_are_valid_while_one_follows_the_other() {
    const NEW: &[u8] = b"another secret that everybody knows";
    let (before, after) = (shared(SECRET, None).await.unwrap(), shared(NEW, Some(SECRET)).await.unwrap());
    let (old, new) = (before.sign(&claims()).unwrap(), after.sign(&claims()).unwrap());
    assert_eq!(after.verify(&old, now()).await, Ok(claims()));
    assert_eq!(after.verify(&new, now()).await, Ok(claims()));
    assert_eq!(before.verify(&new, now()).await, Err(TokenRefusal::BadSignature), "the new one signs");
    let end = claims().expires_at;
    assert_eq!(after.verify(&old, end).await, Err(TokenRefusal::Expired), "whichever secret it was");
    assert_eq!(shared(NEW, None).await.unwrap().verify(&old, now()).await, Err(TokenRefusal::BadSignature));
}

#[tokio::test]
async fn tokens_of_every_trusted_key_are_known_also_on_a_replica_that_has_not_looked_yet() {
    let house = House::new(Some(SigningAlgorithm::Es256));
    let (here, there) = (house.open().await, house.open().await);
    let signer = |ring| Signer::new(ring, &Signing::Ring(SigningAlgorithm::Es256), settings()).unwrap();
    let (ours, other) = (signer(here.clone()), signer(there));
    let first = ours.sign(&claims()).unwrap();
    here.revoke(&KeyId::new(part(&first, 0)["kid"].as_str().unwrap())).await.unwrap();
    let second = ours.sign(&claims()).unwrap();
    assert_eq!(other.verify(&second, now()).await, Ok(claims()), "it looked");
    for signer in [&ours, &other] {
        assert_eq!(signer.verify(&first, now()).await, Err(TokenRefusal::UnknownKey), "revoked");
    }
}
