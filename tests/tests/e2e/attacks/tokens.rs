//! Tokens by people who know how verifiers have been fooled. Each would be good but for one thing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Plan, bearer};
use crate::support::own_key::{now, signing_input};
use crate::support::settings::{claims, claims_with, inline, provider, settings, settings_for};
use crate::support::signer::{Signer, jwks};

/// Every one of these is refused as an invalid token, and none reaches the service.
fn assert_all_refused(gateway: &Gateway, good: &str, bad: &[(String, String)]) {
    let mut connection = gateway.connect();
    let mut send = |token: &str| {
        let request = crate::support::gateway::head("GET /users/ada", &[&bearer(token)]);
        connection.send(&request).unwrap()
    };
    assert_eq!(send(good).status, 200, "the control");
    for (what, token) in bad {
        let answer = send(token);
        let refused = (answer.status, answer.reason());
        assert!(
            refused == (401, "invalid_token".to_owned()) || refused == (401, "expired".to_owned()),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(send(good).status, 200, "the control again");
    assert_eq!(gateway.arrived().len(), 2, "the controls alone arrived");
}

#[test]
fn the_rsa_public_key_is_no_shared_secret() {
    let (rsa, secret) = (Signer::rs256("r1"), "0123456789abcdef0123456789abcdef");
    let mut first = provider(inline(&jwks(&[&rsa])));
    first["algorithms"] = json!(["RS256"]);
    let gateway = Gateway::start(Plan::plugin(settings(&[first])));
    let claims = claims("ada");
    let modulus = URL_SAFE_NO_PAD.decode(rsa.jwk()["n"].as_str().unwrap()).unwrap();
    let pem = rsa.public.clone();
    let document = jwks(&[&rsa]).into_bytes();
    let secrets: [&[u8]; 6] = [&pem, pem.trim_ascii_end(), &modulus, &document, b"", secret.as_bytes()];
    let mut bad = Vec::new();
    for secret in secrets {
        for algorithm in ["HS256", "hs256", "HS256 "] {
            for kid in [json!("r1"), json!(null)] {
                let mut header = json!({"alg": algorithm, "typ": "at+jwt", "kid": kid});
                if kid.is_null() {
                    header.as_object_mut().unwrap().remove("kid");
                }
                let input = signing_input(&header.to_string(), &claims.to_string());
                let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
                bad.push((format!("{algorithm} {kid}"), format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac))));
            }
        }
    }
    assert_all_refused(&gateway, &rsa.token(&claims), &bad);
}

#[test]
fn a_header_cannot_choose_how_it_is_verified() {
    let (key, stranger) = (Signer::es256("k1"), Signer::es256("k1"));
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let claims = claims("ada").to_string();
    let mut bad = Vec::new();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES256K", "PS256", "ES512", "HS256", "RS256"]
    {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": "k1"}).to_string();
        bad.push((format!("alg {alg}, a good signature"), key.sign_text(&header, &claims)));
        bad.push((format!("alg {alg}, no signature"), format!("{}.", signing_input(&header, &claims))));
    }
    let others = [
        ("crit", json!(["exp"])),
        ("crit", json!(["urn:example:unknown"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("k1' OR '1'='1")),
        ("kid", json!("k1' UNION SELECT 'k1'--")),
        ("kid", json!("K1")),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!(["k1"])),
        ("typ", json!("JWT")),
        ("typ", json!("id+jwt")),
        ("typ", json!(1)),
        ("alg", json!(["ES256"])),
    ];
    for (member, value) in others {
        let mut header = key.header();
        header[member] = value.clone();
        bad.push((format!("{member} {value}"), key.sign_text(&header.to_string(), &claims)));
    }
    for (member, value) in [
        ("jwk", stranger.jwk().clone()),
        ("jku", json!("https://evil.example.test/jwks.json")),
        ("x5u", json!("https://evil.example.test/cert.pem")),
        ("x5c", json!([STANDARD_CERTIFICATE])),
    ] {
        let mut header = stranger.header();
        header[member] = value;
        bad.push((format!("a stranger's key, {member}"), stranger.sign_text(&header.to_string(), &claims)));
        header.as_object_mut().unwrap().remove("kid");
        bad.push((format!("the same, no kid, {member}"), stranger.sign_text(&header.to_string(), &claims)));
    }
    let twice = format!(r#"{{"alg":"none",{}"#, &key.header().to_string()[1..]);
    bad.push(("alg twice".to_owned(), key.sign_text(&twice, &claims)));
    assert_all_refused(&gateway, &key.token(&crate::support::settings::claims("ada")), &bad);
}

/// The beginning of a certificate, to be parsed by whoever would.
const STANDARD_CERTIFICATE: &str = "MIIBszCCAVmgAwIBAgIUY2FyZWxlc3M=";

#[test]
fn times_that_are_no_times_are_refused() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let soon = now() + 600;
    let odd = [
        soon.to_string(),
        "-1".to_owned(),
        "0".to_owned(),
        format!("{soon}.5"),
        format!("{soon}.0"),
        format!("{soon}e0"),
        "1e10".to_owned(),
        "1e300".to_owned(),
        "1e400".to_owned(),
        u64::MAX.to_string(),
        i64::MAX.to_string(),
        "18446744073709551616".to_owned(),
        "99999999999999999999999999".to_owned(),
        format!("\"{soon}\""),
        "\"never\"".to_owned(),
        "true".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("[{soon}]"),
        format!("{{\"a\":{soon}}}"),
    ];
    let header = key.header().to_string();
    let mut bad = Vec::new();
    for value in &odd {
        for name in ["exp", "nbf", "iat"] {
            // Good where it stands for `exp`, and in the past for the others.
            if (name == "exp" && *value == soon.to_string()) || (name != "exp" && value == "0") {
                continue;
            }
            let rest = claims_with("ada", json!({ name: null })).to_string();
            let payload = format!("{{\"{name}\":{value},{}", &rest[1..]);
            bad.push((format!("{name}: {value}"), key.sign_text(&header, &payload)));
        }
    }
    let no_end = claims_with("ada", json!({"exp": null}));
    bad.push(("no exp".to_owned(), key.token(&no_end)));
    let too_long = claims_with("ada", json!({"exp": now() + 24 * 3600}));
    bad.push(("longer than max_lifetime".to_owned(), key.token(&too_long)));
    let no_start = claims_with("ada", json!({"exp": now() + 24 * 3600, "iat": null}));
    bad.push(("longer than max_lifetime, no iat".to_owned(), key.token(&no_start)));
    assert_all_refused(&gateway, &key.token(&claims("ada")), &bad);
}

#[test]
fn a_token_has_one_spelling() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let good = key.token(&claims("ada"));
    let segments: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = segments[..] else { panic!("three segments") };
    let mut bad: Vec<(String, String)> = [
        format!("..{good}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.."),
        format!("..{header}.{payload}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        "...".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.{signature}AA"),
        format!("{header}.{payload}.{signature}AAAA"),
        good.replacen(header, &format!("{header}A"), 1),
        good[1..].to_owned(),
    ]
    .into_iter()
    .map(|token| (token.clone(), token))
    .collect();
    for length in [1, 2, 3, 4, 8, 40, 80, good.len() / 2] {
        bad.push((format!("{length} characters cut"), good[..good.len() - length].to_owned()));
    }
    // 64 bytes leave four bits over in the last character: fifteen other spellings of the same bytes.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = good.chars().last().unwrap();
    let at = alphabet.find(last).unwrap();
    for stray in 1..16 {
        let spelled = format!("{}{}", &good[..good.len() - 1], &alphabet[at + stray..=at + stray]);
        bad.push((format!("stray bits {stray}"), spelled));
    }
    let classic = good.replace(['-', '_'], "+");
    if classic != good {
        bad.push(("the other alphabet".to_owned(), classic));
    }
    assert_all_refused(&gateway, &good, &bad);
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let (header, claims) = (key.header().to_string(), claims("ada").to_string());
    let bad: Vec<_> =
        [r#""sub":"bob""#, r#""roles":["admin"]"#, r#""\u0073ub":"bob""#, r#""a":{"b":1,"b":2}"#]
            .into_iter()
            .flat_map(|member| {
                [
                    format!("{{{member},{}", &claims[1..]),
                    format!("{},{member}}}", &claims[..claims.len() - 1]),
                ]
            })
            .map(|payload| (payload.clone(), key.sign_text(&header, &payload)))
            .collect();
    assert_all_refused(&gateway, &key.token(&crate::support::settings::claims("ada")), &bad);
}

#[test]
fn one_request_carries_one_credential() {
    let key = Signer::es256("k1");
    let mut settings = settings_for(&jwks(&[&key]));
    settings["token_sources"] = json!([{"header": "authorization"}, {"cookie": "at"}, {"query": "at"}]);
    let gateway = Gateway::start(Plan::plugin(settings));
    let (good, other) = (key.token(&claims("ada")), key.token(&claims("bob")));
    let (header, cookie, query) =
        (bearer(&good), format!("cookie: at={other}"), format!("GET /users/ada?at={other}"));
    let line = "GET /users/ada";
    let both = format!("authorization: Bearer {good}, Bearer {other}");
    let two_crumbs = format!("cookie: at={good}; at={other}");
    let two_parameters = format!("GET /users/ada?at={good}&%61t={other}");
    let cases: [(&str, Vec<&str>); 8] = [
        (line, vec![&header, &header]),
        (line, vec![&header, "authorization: Basic YTpi"]),
        (line, vec![&both]),
        (line, vec![&header, &cookie]),
        (line, vec![&two_crumbs]),
        (&query, vec![&header]),
        (&query, vec![&cookie]),
        (&two_parameters, vec![]),
    ];
    for (line, headers) in cases {
        let answer = gateway.send(line, &headers);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, "several_credentials"),
            "{line} {headers:?}"
        );
    }
    assert_eq!(gateway.arrived(), [""; 0]);

    // Each source alone works, and what it carried stays at the gate.
    let alone = format!("cookie: theme=dark; at={good}");
    assert_eq!(gateway.send(&format!("GET /users/ada?at={good}&page=2"), &[]).status, 200);
    assert_eq!(gateway.send(line, &[&alone]).status, 200);
    let arrived = gateway.echo.all();
    assert_eq!(arrived[0].path(), "/users/ada?page=2");
    assert_eq!(arrived[1].header("cookie"), [b"theme=dark"]);
}

#[test]
fn a_cookie_from_another_site_writes_nothing() {
    let key = Signer::es256("k1");
    let mut settings = settings_for(&jwks(&[&key]));
    settings["token_sources"] = json!([{"header": "authorization"}, {"cookie": "at"}]);
    settings["allowed_origins"] = json!(["https://app.example.test"]);
    let gateway = Gateway::start(Plan::plugin(settings));
    let cookie = format!("cookie: at={}", key.token(&claims("ada")));
    let upgrade = ["upgrade: websocket", "connection: Upgrade"];
    let elsewhere: [&[&str]; 9] = [
        &[],
        &["origin: https://evil.example.test"],
        &["origin: https://app.example.test.evil.test"],
        &["origin: http://app.example.test"],
        &["origin: null"],
        &["sec-fetch-site: same-site"],
        &["sec-fetch-site: cross-site", "origin: https://evil.example.test"],
        &["sec-fetch-site: none"],
        &["referer: https://app.example.test/"],
    ];
    for headers in elsewhere {
        let with = |more: &[&'static str]| [&[cookie.as_str()], headers, more].concat();
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = gateway.send(&format!("{method} /users/ada"), &with(&[]));
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (403, "cross_site"),
                "{method} {headers:?}"
            );
        }
        let answer = gateway.send("GET /users/ada", &with(&upgrade));
        assert_eq!((answer.status, answer.reason().as_str()), (403, "cross_site"), "upgrade {headers:?}");
    }
    assert_eq!(gateway.arrived(), [""; 0]);
    for headers in [["origin: https://app.example.test"], ["sec-fetch-site: same-origin"]] {
        let headers = [cookie.as_str(), headers[0], "content-length: 0"];
        assert_eq!(gateway.send("POST /users/ada", &headers).status, 200, "{headers:?}");
    }
    assert_eq!(gateway.send("GET /users/ada", &[&cookie]).status, 200, "reading changes nothing");
}

#[test]
fn another_providers_admin_is_not_ours() {
    let (ours, theirs) = (Signer::es256("k1"), Signer::es256("k1"));
    let partner = "https://partner.example.test";
    let mut second = provider(inline(&jwks(&[&theirs])));
    second["name"] = json!("partner");
    second["issuer"] = json!(partner);
    let mut settings = settings(&[provider(inline(&jwks(&[&ours]))), second]);
    settings["rules"] = json!([
        {"path": "/admin/**", "allow": {"role": "admin"}, "providers": ["doorward"]},
        {"path": "/users/{id}", "allow": {"owner": "id"}, "providers": ["doorward"]},
        {"path": "/feed", "allow": "authenticated"},
    ]);
    let gateway = Gateway::start(Plan::plugin(settings));
    let admin = |issuer: Value| claims_with("ada", json!({"iss": issuer, "roles": ["admin"]}));
    let foreign = theirs.token(&admin(json!(partner)));
    for path in ["/admin/users", "/users/ada"] {
        let answer = gateway.get(path, &foreign);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "rule_denied"), "{path}");
    }
    // Neither may sign in the other's name, though both call their key alike.
    let own = admin(json!(crate::support::settings::ISSUER));
    for forged in [theirs.token(&own), ours.token(&admin(json!(partner)))] {
        for path in ["/admin/users", "/feed"] {
            let answer = gateway.get(path, &forged);
            assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_token"), "{path}");
        }
    }
    assert_eq!(gateway.get("/admin/users", &ours.token(&own)).status, 200);
    assert_eq!(gateway.get("/feed", &foreign).status, 200);
    assert_eq!(gateway.echo.received("/feed")[0].header("x-auth-provider"), [b"partner"]);
}
