//! Attacks that have worked on somebody, against the gate.

mod support;

use doorward_gate::{Decision, Reason, RequestHead, Waiting};
use jwt_simple::prelude::ES256KeyPair;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{assemble, claims, claims_with, clock, es256, gate, get, send, token};

const HEADER: &str = r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#;

fn reason(token: &str) -> Option<Reason> {
    get(&mut gate(), "/users/u-1", token).reason()
}

#[test]
fn tokens_without_a_signature_of_ours() {
    let body = claims().to_string();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        let unsigned = assemble(&header, &body, |_| Vec::new());
        assert_eq!(reason(&unsigned), Some(Reason::MalformedToken), "{alg}: an empty segment");
        assert_eq!(reason(&assemble(&header, &body, es256)), Some(Reason::BadSignature), "{alg}");
    }
    let stranger = ES256KeyPair::generate();
    let header = json!({
        "alg": "ES256", "kid": "k1", "typ": "at+jwt", "jku": "https://evil.test", "x5u": "https://evil.test",
        "jwk": serde_json::from_str::<Value>(&stranger.public_key().to_jwk()).unwrap(),
    });
    let own_key = |input: &str| {
        use p256::ecdsa::signature::Signer;
        let key = p256::ecdsa::SigningKey::from_slice(&stranger.to_bytes()).unwrap();
        let signature: p256::ecdsa::Signature = key.sign(input.as_bytes());
        signature.to_bytes().to_vec()
    };
    assert_eq!(reason(&assemble(&header.to_string(), &body, own_key)), Some(Reason::BadSignature));
    for kid in ["../../dev/null", "k1' OR '1'='1", "k1\\u0000", "K1", "", "k1 "] {
        let header = format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#);
        assert_eq!(reason(&assemble(&header, &body, es256)), Some(Reason::UnknownKey), "{kid}");
    }
    assert_eq!(
        reason(&assemble(HEADER, &body, |_| vec![0; 64])),
        Some(Reason::BadSignature),
        "CVE-2022-21449"
    );
    assert_eq!(reason(&assemble(HEADER, &body, |i| es256(i)[..63].to_vec())), Some(Reason::BadSignature));
    assert_eq!(
        reason(&assemble(HEADER, &body, |i| [es256(i), vec![0]].concat())),
        Some(Reason::BadSignature)
    );
}

#[test]
fn tokens_of_ours_that_are_not_for_here() {
    for (changes, want) in [
        (json!({"exp": null}), Reason::BadClaims),
        (json!({"exp": support::NOW - 30}), Reason::Expired),
        (json!({"exp": 0}), Reason::Expired),
        (json!({"exp": u64::MAX}), Reason::BadClaims),
        (json!({"exp": support::NOW + 3601, "iat": null, "nbf": null}), Reason::BadClaims),
        (json!({"nbf": support::NOW + 31}), Reason::NotYetValid),
        (json!({"iat": support::NOW + 31}), Reason::NotYetValid),
        (json!({"nbf": u64::MAX}), Reason::NotYetValid),
        (json!({"iat": 0}), Reason::BadClaims),
        (json!({"aud": null}), Reason::WrongAudience),
        (json!({"aud": []}), Reason::WrongAudience),
        (json!({"aud": "web"}), Reason::WrongAudience),
        (json!({"aud": ["API", "api "]}), Reason::WrongAudience),
        (json!({"iss": "https://auth.example.test/"}), Reason::UnknownProvider),
        (json!({"iss": "HTTPS://auth.example.test"}), Reason::UnknownProvider),
        (json!({"sub": null}), Reason::BadClaims),
        (json!({"sub": ""}), Reason::BadClaims),
        (json!({"sub": " u-1"}), Reason::BadClaims),
        (json!({"roles": "admin\nx"}), Reason::RuleDenied),
        (json!({"roles": {"admin": true}}), Reason::BadClaims),
        (json!({"roles": ["admin", 1]}), Reason::BadClaims),
        (json!({"roles": ["user", " admin"]}), Reason::BadClaims),
        (json!({"email": 7}), Reason::BadClaims),
        (json!({"email_verified": "true"}), Reason::BadClaims),
    ] {
        let outcome = get(&mut gate(), "/users/u-2", &token(&claims_with(changes.clone())));
        assert_eq!(outcome.reason(), Some(want), "{changes}");
    }
    for typ in [r#","typ":"JWT""#, r#","typ":"dpop+jwt""#, ""] {
        let header = format!(r#"{{"alg":"ES256","kid":"k1"{typ}}}"#);
        assert_eq!(
            reason(&assemble(&header, &claims().to_string(), es256)),
            Some(Reason::MalformedToken),
            "{typ}"
        );
    }
    let spelled = r#"{"alg":"ES256","kid":"k1","typ":"application/AT+JWT"}"#;
    assert_eq!(reason(&assemble(spelled, &claims().to_string(), es256)), None, "RFC 9068 section 4");
}

#[test]
fn a_token_that_is_known_already_vouches_for_no_other() {
    let good = token(&claims());
    let mut gate = gate();
    assert_eq!(get(&mut gate, "/users/u-1", &good).reason(), None);
    for at in 0..good.len() {
        let mut other = good.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(get(&mut gate, "/users/u-1", &other).reason().is_some(), "changed at {at}");
    }
    for cut in 1..good.len() {
        assert!(get(&mut gate, "/users/u-1", &good[cut..]).reason().is_some(), "begins at {cut}");
    }
    for several in
        [format!("{good},{good}"), format!("{good}, Bearer {good}"), format!(",{good}"), format!("{good},")]
    {
        assert_eq!(get(&mut gate, "/users/u-1", &several).reason(), Some(Reason::SeveralCredentials));
    }
    assert_eq!(get(&mut gate, "/users/u-1", &good).reason(), None);
}

#[test]
fn a_claim_cannot_break_out_of_its_header() {
    let claims = claims_with(json!({
        "sub": "a\r\nx-user-roles: admin", "email": "\u{0}é%", "roles": ["user,admin", "b\u{7f}"],
    }));
    let outcome = get(&mut gate(), "/inventory", &token(&claims));
    assert_eq!(outcome.header("x-user-id").as_deref(), Some("a%0D%0Ax-user-roles: admin"));
    assert_eq!(outcome.header("x-user-email").as_deref(), Some("%00%C3%A9%25"));
    assert_eq!(outcome.header("x-user-roles").as_deref(), Some("user%2Cadmin,b%7F"));
}

#[test]
fn paths_that_programs_read_differently() {
    let token = token(&claims_with(json!({"roles": ["admin"]})));
    for path in [
        "//users",
        "/auth/../users",
        "/auth/%2e%2e/users",
        "/auth/%2E./users",
        "/users%2fu-1",
        "/users;x=1",
        "/users#x",
        "/users\\u-1",
        "/users/%00",
        "/users/u-1%0a",
        "/./users",
        "users",
        "",
        "/users/%c0%ae",
        "/users/%",
        "/users/u%252d1",
    ] {
        assert_eq!(get(&mut gate(), path, &token).reason(), Some(Reason::AmbiguousPath), "{path}");
    }
    let outcome = get(&mut gate(), "/users/%23", &token);
    assert_eq!(outcome.reason(), None, "%23 is a character like others");
}

#[test]
fn other_headers_never_decide_path_or_method() {
    let bearer = format!("Bearer {}", token(&claims()));
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-original-url", "/auth/login"),
        ("x-rewrite-url", "/auth/login"),
        ("x-envoy-original-path", "/auth/login"),
        ("x-forwarded-prefix", "/auth"),
        ("x-http-method-override", "GET"),
        ("x-method-override", "GET"),
    ];
    assert_eq!(send(&mut gate(), &clock(), "GET", "/users", &headers).reason(), Some(Reason::RuleDenied));
    assert_eq!(
        send(&mut gate(), &clock(), "POST", "/inventory/a", &headers).reason(),
        Some(Reason::RuleDenied)
    );
}

#[test]
fn an_upgrade_may_not_nominate_a_protected_header() {
    let headers = [("connection", "Upgrade, X-User-Id"), ("upgrade", "websocket")];
    let outcome = send(&mut gate(), &clock(), "GET", "/auth/ws", &headers);
    assert_eq!(outcome.reason(), Some(Reason::ProtectedHeader));
}

fn header_name() -> impl Strategy<Value = Vec<u8>> {
    let spoofs = proptest::sample::select(vec![
        "x-user-id",
        "X_User_Id",
        "x_user-email",
        "X-USER-ROLES",
        "x-user_permissions",
        "x-session-id",
        "x-auth-provider",
        "X-User-Email_Verified",
        "accept",
        "x-other",
    ]);
    prop_oneof![4 => spoofs.prop_map(|s| s.as_bytes().to_vec()), 1 => proptest::collection::vec(any::<u8>(), 0..12)]
}

proptest! {
    /// Whatever a client sends: every header that reaches the service under a protected name was set by the gate.
    #[test]
    fn no_protected_header_of_a_client_passes(
        headers in proptest::collection::vec((header_name(), proptest::collection::vec(any::<u8>(), 0..8)), 0..8),
        path in proptest::sample::select(vec!["/auth/login", "/feed", "/users/u-1", "/auth/me", "/inventory/x"]),
        with_token: bool,
    ) {
        let bearer = format!("Bearer {}", token(&claims()));
        let mut pairs = vec![(&b":method"[..], &b"GET"[..]), (b":path", path.as_bytes())];
        if with_token {
            pairs.push((b"authorization", bearer.as_bytes()));
        }
        pairs.extend(headers.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
        let head = RequestHead::from_pairs(pairs.clone());
        if let Decision::Forward(_, mutation) = gate().decide(&head, &clock(), Waiting::Over) {
            let removed = |name: &[u8]| mutation.remove().any(|r| r.as_bytes().eq_ignore_ascii_case(name));
            for (name, _) in pairs {
                let folded = String::from_utf8_lossy(name).to_ascii_lowercase().replace('_', "-");
                let protected = ["x-user-id", "x-user-email", "x-user-email-verified", "x-user-roles",
                    "x-user-permissions", "x-session-id", "x-auth-provider"].contains(&folded.as_str());
                prop_assert!(!protected || removed(name), "{folded}");
            }
            let anonymous = path == "/auth/login" || !with_token;
            prop_assert!(!anonymous || mutation.set().count() == 0);
        }
    }

    /// No mutation of a good token is good.
    #[test]
    fn no_changed_token_passes(at in 0usize..600, with in "[A-Za-z0-9_.=-]{1,2}") {
        let good = token(&claims());
        let at = at % good.len();
        let end = (at + with.len()).min(good.len());
        let changed = format!("{}{with}{}", &good[..at], &good[end..]);
        prop_assert_eq!(reason(&changed).is_none(), changed == good);
    }
}
