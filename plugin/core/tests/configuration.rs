//! Every mistake in a configuration is refused, and named by the path of its key.

mod support;

use doorward_gate::policy::WhenStale;
use serde_json::{Value, json};
use support::{compile, config};

/// The message for a configuration with one value replaced.
fn mistake(pointer: &str, value: Value) -> String {
    let mut config = config();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        Value::Object(members) if value.is_null() => drop(members.remove(name)),
        Value::Object(members) => drop(members.insert(name.to_owned(), value)),
        other => panic!("{other}"),
    }
    compile(config).map(drop).unwrap_err().to_string()
}

/// Where revocations are, with one value replaced.
fn feed(name: &str, value: Value) -> Value {
    let mut feed = json!({"cluster": "issuer-management", "path": "/revocations", "token_env": "SECRET"});
    feed[name] = value;
    feed
}

#[test]
fn a_feed_of_revocations_needs_little() {
    let mut config = config();
    config["providers"][0]["revocation"] = feed("max_stale", json!("4s"));
    let policy = compile(config).unwrap();
    let source = policy.providers()[0].revocation().unwrap();
    let token = source.token.as_ref().unwrap();
    assert_eq!((source.when_stale, token.expose().is_empty()), (WhenStale::Deny, false));
    assert!(!format!("{policy:?}").contains(token.expose()));
}

#[test]
fn the_example_is_good() {
    compile(config()).unwrap();
}

#[test]
fn shape() {
    let remote = json!({"remote": {"path": "/jwks", "authority": "a"}});
    for (pointer, value, want) in [
        ("/rulez", json!([]), "rulez: unknown key"),
        ("/providers", Value::Null, "providers: missing"),
        ("/rules", Value::Null, "rules: missing"),
        ("/providers/0/issuer", Value::Null, "providers[0].issuer: missing"),
        ("/providers/0/isuer", json!(""), "providers[0].isuer: unknown key"),
        ("/providers/0/keys", remote, "providers[0].keys.remote.cluster: missing"),
        (
            "/providers/0/audiences",
            json!("api"),
            "providers[0].audiences: invalid type: string \"api\", expected a sequence",
        ),
        (
            "/providers/0/clock_skew",
            json!(30),
            "providers[0].clock_skew: invalid type: integer `30`, expected a string",
        ),
        ("/providers/0/clock_skew", json!("30"), "providers[0].clock_skew: \"30\" is not a duration"),
        (
            "/rules/0/allow",
            json!("everyone"),
            "rules[0].allow: invalid value: string \"everyone\", expected public, optional",
        ),
        ("/rules/0/allow", json!({"rule": "admin"}), "rules[0].allow.rule: unknown"),
        ("/rules/0/allow", json!({"any_of": [{"role": 7}]}), "rules[0].allow.any_of[0].role: invalid type"),
        ("/rules/0/paths", json!("/"), "rules[0].paths: unknown key"),
        ("/cache", json!({"entry": 1}), "cache.entry: unknown key"),
        ("/cache", json!({"entries": -1}), "cache.entries: invalid value"),
        ("/mode", json!("off"), "mode: unknown variant"),
        ("/token_sources", json!([{"body": "x"}]), "token_sources[0]: unknown variant `body`"),
    ] {
        let message = mistake(pointer, value);
        assert!(message.starts_with(want), "{message:?} should start with {want:?}");
    }
}

#[test]
fn meaning() {
    let other = |issuer: &str, name: &str| {
        let mut other = support::provider();
        other["name"] = name.into();
        other["issuer"] = issuer.into();
        json!([support::provider(), other])
    };
    let keys = |keys: Value| keys;
    for (pointer, value, want) in [
        ("/providers", json!([]), "providers: at least one"),
        ("/providers", other(support::ISSUER, "b"), "providers[1].issuer: two providers"),
        ("/providers", other("https://b.test", "doorward"), "providers[1].name: two providers"),
        ("/providers", other("https://b.test", "b"), "rules[3].providers: with several providers"),
        ("/providers/0/name", json!("a b"), "providers[0].name: "),
        ("/providers/0/issuer", json!(""), "providers[0].issuer: must not be empty"),
        ("/providers/0/audiences", json!([]), "providers[0].audiences: at least one"),
        ("/providers/0/algorithms", json!(["none"]), "providers[0].algorithms[0]: expected one of HS256"),
        ("/providers/0/algorithms", json!([]), "providers[0].algorithms: "),
        ("/providers/0/algorithms", json!(["ES256", "HS256"]), "providers[0].algorithms: either HS"),
        ("/providers/0/algorithms", json!(["ES256", "ES256"]), "providers[0].algorithms[1]: stands twice"),
        ("/providers/0/algorithms", json!(["HS256"]), "providers[0].keys: HS algorithms need secret_env"),
        ("/providers/0/token_type", json!("jose"), "providers[0].token_type: expected"),
        ("/providers/0/clock_skew", json!("6m"), "providers[0].clock_skew: at most 5m"),
        ("/providers/0/max_lifetime", json!("0s"), "providers[0].max_lifetime: "),
        ("/providers/0/revocation", json!({"path": "/r"}), "providers[0].revocation.cluster: missing"),
        (
            "/providers/0/revocation",
            feed("cluster", json!("")),
            "providers[0].revocation.cluster: must not be empty",
        ),
        (
            "/providers/0/revocation",
            feed("path", json!("r")),
            "providers[0].revocation.path: must start with /",
        ),
        (
            "/providers/0/revocation",
            feed("path", json!("/r?a=1")),
            "providers[0].revocation.path: must start with /, and",
        ),
        (
            "/providers/0/revocation",
            feed("max_stale", json!("3s")),
            "providers[0].revocation.max_stale: at least 4s",
        ),
        (
            "/providers/0/revocation",
            feed("when_stale", json!("ask")),
            "providers[0].revocation.when_stale: unknown variant",
        ),
        (
            "/providers/0/revocation",
            feed("token_env", json!("NO")),
            "providers[0].revocation.token_env: the environment variable NO",
        ),
        (
            "/providers/0/revocation",
            feed("token_env", json!("TWO_LINES")),
            "providers[0].revocation.token_env: TWO_LINES is empty, or",
        ),
        ("/providers/0/claims", json!({"roles": []}), "providers[0].claims.roles: "),
        ("/providers/0/claims", json!({"roles": "a..b"}), "providers[0].claims.roles: "),
        ("/providers/0/keys", keys(json!({})), "providers[0].keys: exactly one of"),
        (
            "/providers/0/keys",
            keys(json!({"inline": "{}", "secret_env": ["SECRET"]})),
            "providers[0].keys: exactly one of",
        ),
        ("/providers/0/keys", keys(json!({"inline": "{}"})), "providers[0].keys.inline: the document is not"),
        (
            "/providers/0/keys",
            keys(json!({"inline": "{\"keys\":[]}"})),
            "providers[0].keys.inline: the document holds no usable key",
        ),
        (
            "/providers/0/keys",
            keys(json!({"secret_env": ["SECRET"]})),
            "providers[0].keys.secret_env: is for HS",
        ),
        ("/allowed_origins", json!(["app.example.test"]), "allowed_origins[0]: expected scheme"),
        ("/token_sources", json!([]), "token_sources: at least one"),
        ("/token_sources", json!([{"cookie": "a b"}]), "token_sources[0]: not a name"),
        ("/token_sources", json!([{"header": "cookie"}]), "token_sources[0]: not a name"),
        ("/token_sources", json!([{"query": "a"}, {"query": "a"}]), "token_sources[1]: stands twice"),
        ("/headers", json!({"X-User": "user_id"}), "headers.X-User: expected a header name"),
        ("/headers", json!({"x-user": "nobody"}), "headers.x-user: no provider has a claim called nobody"),
        ("/headers", json!({"authorization": "user_id"}), "headers.authorization: this header has a meaning"),
        ("/rules/0/path", json!("auth"), "rules[0].path: must start with /"),
        ("/rules/0/methods", json!(["get"]), "rules[0].methods: method names in capitals"),
        ("/rules/0/methods", json!([]), "rules[0].methods: method names"),
        ("/rules/0/allow", json!({"owner": "id"}), "rules[0].allow.owner: the rule's path has no {id}"),
        ("/rules/0/allow", json!({"any_of": []}), "rules[0].allow.any_of: must not be empty"),
        (
            "/rules/0/allow",
            json!({"all_of": [{"role": ""}]}),
            "rules[0].allow.all_of[0].role: must not be empty",
        ),
        ("/rules/0/allow", json!({"provider": "x"}), "rules[0].allow.provider: there is no provider"),
        ("/rules/0/providers", json!(["x"]), "rules[0].providers[0]: there is no provider"),
        ("/rules/0/providers", json!(["doorward"]), "rules[0].providers: says nothing"),
    ] {
        let message = mistake(pointer, value);
        assert!(message.starts_with(want), "{message:?} should start with {want:?}");
    }
}

#[test]
fn secrets() {
    let with = |names: Value| {
        let mut config = config();
        config["providers"][0]["algorithms"] = json!(["HS256"]);
        config["providers"][0]["keys"] = json!({"secret_env": names});
        compile(config).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(with(json!(["SECRET", "SECRET_OLD"])), Ok(()));
    let short = with(json!(["SECRET", "SHORT"])).unwrap_err();
    assert_eq!(short, "providers[0].keys.secret_env[1]: the secret in SHORT is shorter than 32 bytes");
    assert!(with(json!(["MISSING"])).unwrap_err().contains("MISSING is not set"));
    assert!(with(json!([])).unwrap_err().contains("one or two"));
}

#[test]
fn keys_that_must_not_be_trusted() {
    use doorward_gate::keys::{Algorithm, JwksError, KeySet};
    let read = |keys: &[Value]| {
        let document = json!({"keys": keys}).to_string();
        KeySet::from_jwks(document.as_bytes(), &Algorithm::ALL).map(|set| (set.len(), set.refused()))
    };
    let good: Value = serde_json::from_str(&support::ES256.public_key().to_jwk()).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key["kid"] = "other".into();
        key[name] = value;
        key
    };
    let rsa = |bits: usize, e: &str| json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "e": e, "n": base64_n(bits)});
    for bad in [
        with("use", json!("enc")),
        with("key_ops", json!([])),
        with("key_ops", json!(["sign"])),
        with("alg", json!("RS256")),
        with("alg", json!("none")),
        with("alg", json!(7)),
        with("crv", json!("P-384")),
        with("x", good["y"].clone()),
        with("d", json!("AAAA")),
        with("kid", json!(7)),
        rsa(1024, "AQAB"),
        rsa(2048, "AQ"),
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
        json!("key"),
        json!({}),
    ] {
        assert_eq!(read(std::slice::from_ref(&bad)), Err(JwksError::NoUsableKey), "{bad}");
        assert_eq!(read(&[bad.clone(), good.clone()]), Ok((1, 1)), "{bad}");
    }
    assert_eq!(read(&[rsa(2048, "AQAB")]), Ok((1, 0)), "the measure of the weak ones above");
    assert_eq!(
        read(&[good.clone(), good.clone()]),
        Err(JwksError::NoUsableKey),
        "a name for two keys is for none"
    );
    let huge = format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(300_000));
    assert_eq!(KeySet::from_jwks(huge.as_bytes(), &Algorithm::ALL).unwrap_err(), JwksError::TooLarge);
    for document in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "\u{0}"] {
        assert_eq!(
            KeySet::from_jwks(document.as_bytes(), &Algorithm::ALL).unwrap_err(),
            JwksError::Malformed
        );
    }
}

/// Some odd number of so many bits.
fn base64_n(bits: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(vec![0xc5; bits / 8])
}

#[test]
fn a_method_that_falls_through_to_a_weaker_rule_is_pointed_out() {
    assert_eq!(
        compile(config()).unwrap().warnings(),
        Vec::<String>::new(),
        "the example falls through to stronger ones"
    );
    let mut config = config();
    config["rules"] = json!([
        {"methods": ["GET", "POST"], "path": "/a.b/{id}/c%23", "allow": {"role": "admin"}},
        {"methods": ["DELETE"], "path": "/a.b/**", "allow": "deny"},
        {"path": "/a.b/**", "allow": "authenticated"},
    ]);
    let warnings = compile(config).unwrap().warnings();
    assert!(warnings.contains(&"rules[0]: PUT falls through to rules[2], which asks for less".to_owned()));
    assert!(warnings.iter().all(|w| !w.starts_with("rules[0]: DELETE")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w == "rules[1]: GET falls through to rules[2], which asks for less"));
}

fn warnings(rules: Value) -> Vec<String> {
    let mut config = config();
    config["rules"] = rules;
    compile(config).unwrap().warnings()
}

#[test]
fn expressions_are_compared_by_what_they_say() {
    let admin = || json!({"methods": ["DELETE"], "path": "/a", "allow": {"role": "admin"}});
    let complaints = |then: Value| {
        let said = warnings(json!([admin(), {"path": "/a", "allow": then}]));
        let put = said.iter().find(|w| w.contains(" PUT ")).cloned();
        put.map(|w| w.rsplit(", ").next().unwrap().to_owned())
    };
    let less = Some("which asks for less".to_owned());
    let others = Some("which lets in others".to_owned());
    assert_eq!(complaints(json!({"role": "admin"})), None);
    assert_eq!(complaints(json!({"all_of": [{"role": "admin"}, {"permission": "p"}]})), None);
    assert_eq!(complaints(json!({"any_of": [{"role": "admin"}, {"all_of": [{"role": "admin"}]}]})), None);
    assert_eq!(complaints(json!({"any_of": [{"role": "admin"}, {"role": "user"}]})), less);
    assert_eq!(complaints(json!({"role": "user"})), others);
    assert_eq!(complaints(json!({"permission": "admin"})), others);
    // Who may write is not who may read, and here somebody has said so.
    let writers = json!([
        {"methods": ["GET"], "path": "/a", "allow": {"permission": "read"}},
        {"methods": ["PUT"], "path": "/a", "allow": {"permission": "write"}},
        {"path": "/a", "allow": "deny"},
    ]);
    assert_eq!(warnings(writers), Vec::<String>::new());
    let open = json!([admin(), {"methods": ["PUT"], "path": "/a", "allow": "authenticated"}, {"path": "/**", "allow": "deny"}]);
    assert_eq!(warnings(open), ["rules[0]: PUT falls through to rules[1], which asks for less"]);
}

#[test]
fn templates_that_overlap_are_found_and_those_that_are_shadowed_are_not() {
    let get = |path: &str| json!({"methods": ["GET"], "path": path, "allow": {"role": "admin"}});
    let fallen =
        |rules: Value| warnings(rules).into_iter().filter(|w| w.contains(" PUT ")).collect::<Vec<_>>();
    let public = |path: &str| json!({"path": path, "allow": "public"});
    let deny = || json!({"path": "/**", "allow": "deny"});
    let first_to = |n: usize| vec![format!("rules[0]: PUT falls through to rules[{n}], which asks for less")];

    assert_eq!(
        fallen(json!([get("/a/*"), public("/a/b"), deny()])),
        first_to(1),
        "a literal in its wildcard"
    );
    assert_eq!(fallen(json!([get("/a/b"), public("/a/{x}"), deny()])), first_to(1));
    assert_eq!(
        fallen(json!([get("/a/**"), public("/*/b/c"), deny()])),
        first_to(1),
        "each has what the other leaves open"
    );
    assert_eq!(
        fallen(json!([get("/a/**"), public("/b/*"), deny()])),
        Vec::<String>::new(),
        "nothing in common"
    );
    assert_eq!(fallen(json!([get("/a"), public("/a/*"), deny()])), Vec::<String>::new());
    let shadowed = json!([get("/a/b"), {"path": "/a/*", "allow": "deny"}, public("/**")]);
    assert_eq!(fallen(shadowed), Vec::<String>::new(), "what is denied before gets nowhere");
    let longer = json!([get("/a/**"), {"path": "/a", "allow": "deny"}, {"path": "/a/*", "allow": "deny"}, public("/**")]);
    assert_eq!(fallen(longer), first_to(3), "below what is denied");
}
