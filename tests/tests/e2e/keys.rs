//! The life of keys: fetched once for all workers, exchanged, kept through outages, waited for, and never made up.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use doorward_tests::certificate::Certificate;
use doorward_tests::parts::Answer;
use doorward_tests::ports::Port;
use doorward_tests::process::Workdir;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Listener, Plan, bearer, cluster, head, type_url};
use crate::support::keyed::{Keyed, PATH};
use crate::support::settings::{claims, claims_with, provider, remote, settings};
use crate::support::signer::{Signer, jwks};
use crate::support::timed::timed;

const AGE: &str = "wasmcustom.doorward_keys_age_seconds.provider.doorward";
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn four_workers_start_with_one_fetch() {
    let key = Signer::es256("k1");
    let keyed = Keyed::start(4, "5m", Answer::Document(jwks(&[&key])));
    let address = keyed.gateway.address().replace(':', "_");
    let served =
        |worker: u32| keyed.gateway.stat(&format!("listener.{address}.worker_{worker}.downstream_cx_total"));
    // New connections go to any worker: go on until each has served one.
    let mut sent = 0_u32;
    let all = wait::until(LIMIT, || {
        for _ in 0..8 {
            sent += 1;
            let token = key.token(&claims_with("ada", json!({"jti": sent.to_string()})));
            assert_eq!(keyed.gateway.get("/users/ada", &token).status, 200, "request {sent}");
        }
        (0..4).all(|worker| served(worker) > 0).then_some(())
    });
    assert!(all.is_some(), "{:?}", [0, 1, 2, 3].map(served));
    assert_eq!(keyed.fetches(), 1);
}

#[test]
fn a_new_key_counts_at_once_and_a_flood_of_unknown_ones_fetches_seldom() {
    let (old, new) = (Signer::es256("k1"), Signer::es256("k2"));
    let keyed = Keyed::start(2, "5m", Answer::Document(jwks(&[&old])));
    assert_eq!(keyed.gateway.get("/users/ada", &old.token(&claims("ada"))).status, 200);
    keyed.gateway.wait_for_stat(AGE, 6);
    assert_eq!(keyed.fetches(), 1);

    keyed.release(&jwks(&[&old, &new]));
    // Nobody is held for longer than a second.
    let answer = keyed.gateway.get("/users/ada", &new.token(&claims("ada")));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(keyed.fetches(), 2);

    // Every name is new, so none is known to be unknown; for more than one cool-down.
    let mut connection = keyed.gateway.connect();
    let flooded = wait::until(LIMIT, || {
        for number in 0..50 {
            let stranger = Signer::es256(&format!("stranger-{number}"));
            let request = head("GET /users/ada", &[&bearer(&stranger.token(&claims("ada")))]);
            let answer = connection.send(&request).unwrap();
            assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_token"));
        }
        (keyed.fetches() >= 3).then_some(())
    });
    assert!(flooded.is_some());
    let asked = keyed.keys.asked(PATH);
    let gaps: Vec<Duration> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[1..].iter().all(|gap| *gap > Duration::from_millis(4_900)), "{gaps:?}");
    assert_eq!(keyed.gateway.get("/users/ada", &new.token(&claims("ada"))).status, 200);
}

#[test]
fn a_flood_of_requests_that_wait_does_not_keep_the_keys_away() {
    let key = Signer::es256("k1");
    let keyed = Keyed::start(1, "5m", Answer::Status(500));
    let request = head("GET /users/ada", &[&bearer(&key.token(&claims("ada")))]);
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Nobody reads the answers; the last few hundred connections stay open.
            let mut open = VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                if let Ok(mut connection) = TcpStream::connect(keyed.gateway.address()) {
                    sent.fetch_add(usize::from(connection.write_all(&request).is_ok()), Ordering::Relaxed);
                    open.push_back(connection);
                }
                open.drain(..open.len().saturating_sub(300));
            }
        });
        let flooded = wait::until(LIMIT, || (sent.load(Ordering::Relaxed) > 300).then_some(()));
        keyed.release(&jwks(&[&key]));
        let fetched = wait::until(LIMIT, || {
            (keyed.gateway.stat("wasmcustom.doorward_fetches.result.answered") > 0).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        assert!(flooded.is_some() && fetched.is_some(), "{flooded:?} {fetched:?} after {sent:?} requests");
    });
    assert_eq!(keyed.gateway.get("/users/ada", &key.token(&claims("ada"))).status, 200);
}

#[test]
fn a_token_that_was_seen_before_dies_with_its_key() {
    let (old, new) = (Signer::es256("k1"), Signer::es256("k2"));
    let keyed = Keyed::start(1, "1s", Answer::Document(jwks(&[&old])));
    let token = old.token(&claims("ada"));
    for _ in 0..3 {
        assert_eq!(keyed.gateway.get("/users/ada", &token).status, 200);
    }
    keyed.release(&jwks(&[&new]));
    let refused = wait::until(LIMIT, || {
        let answer = keyed.gateway.get("/users/ada", &token);
        (answer.status != 200).then_some((answer.status, answer.reason()))
    });
    assert_eq!(refused, Some((401, "invalid_token".to_owned())));
    let arrived = keyed.gateway.arrived().len();
    for _ in 0..10 {
        assert_eq!(keyed.gateway.get("/users/ada", &token).status, 401);
    }
    assert_eq!(keyed.gateway.arrived().len(), arrived);
    assert_eq!(keyed.gateway.get("/users/ada", &new.token(&claims("ada"))).status, 200);
}

/// Ways in which a key server can fail, each at a path of its own.
fn outages() -> Vec<(&'static str, Answer)> {
    let huge = format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(700 * 1024));
    let weak = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "k1", "k": "c2VjcmV0"}]}).to_string();
    vec![
        ("failing", Answer::Status(500)),
        ("missing", Answer::Status(404)),
        ("moved", Answer::Status(302)),
        ("silent", Answer::Wait),
        ("empty", Answer::Document(r#"{"keys":[]}"#.to_owned())),
        ("blank", Answer::Document(String::new())),
        ("huge", Answer::Document(huge)),
        ("text", Answer::Document("<html>Sorry!</html>".to_owned())),
        ("torn", Answer::Document(r#"{"keys":[{"kty":"EC""#.to_owned())),
        ("weak", Answer::Document(weak)),
    ]
}

fn outage_providers(refresh: &str) -> Vec<Value> {
    let with_name = |name: &str| {
        let mut provider = provider(remote(&format!("/{name}"), refresh));
        provider["keys"]["remote"]["timeout"] = json!("500ms");
        provider["name"] = json!(name);
        provider["issuer"] = json!(format!("https://{name}.example.test"));
        provider
    };
    outages().iter().map(|(name, _)| with_name(name)).collect()
}

/// The rule asks for nothing but a good token, since several providers are trusted.
fn outage_settings(refresh: &str) -> Value {
    let mut settings = settings(&outage_providers(refresh));
    settings["rules"] = json!([{"path": "/**", "allow": "authenticated"}]);
    settings
}

fn outage_claims(name: &str, jti: usize) -> Value {
    claims_with("ada", json!({"iss": format!("https://{name}.example.test"), "jti": jti.to_string()}))
}

#[test]
fn keys_stay_in_use_when_their_server_fails() {
    let key = Signer::es256("k1");
    let paths: Vec<String> = outages().iter().map(|(name, _)| format!("/{name}")).collect();
    let good: Vec<(&str, Answer)> =
        paths.iter().map(|path| (path.as_str(), Answer::Document(jwks(&[&key])))).collect();
    let keyed = Keyed::start_plan(&good, |clusters| Plan { clusters, ..Plan::plugin(outage_settings("1s")) });
    for (number, (name, _)) in outages().iter().enumerate() {
        assert_eq!(keyed.gateway.get("/x", &key.token(&outage_claims(name, number))).status, 200, "{name}");
    }
    for (path, (_, outage)) in paths.iter().zip(outages()) {
        keyed.keys.answer(path, outage);
    }
    let before: Vec<usize> = paths.iter().map(|path| keyed.keys.asked(path).len()).collect();
    let tried = || paths.iter().zip(&before).all(|(path, before)| keyed.keys.asked(path).len() > *before);
    assert!(wait::until(LIMIT, || tried().then_some(())).is_some());
    let failed = || keyed.gateway.stat("wasmcustom.doorward_fetches.result.failed");
    keyed.gateway.wait_for_stat("wasmcustom.doorward_fetches.result.answered", 1);
    assert!(wait::until(LIMIT, || (failed() >= 4).then_some(())).is_some(), "{}", failed());
    // Tokens that are new, so that no cache answers for the keys.
    for (number, (name, _)) in outages().iter().enumerate() {
        let token = key.token(&outage_claims(name, 100 + number));
        let answer = keyed.gateway.get("/x", &token);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

#[test]
fn without_keys_nobody_passes_and_the_door_opens_when_they_come() {
    let key = Signer::es256("k1");
    let outages = outages();
    let paths: Vec<String> = outages.iter().map(|(name, _)| format!("/{name}")).collect();
    let answers: Vec<(&str, Answer)> =
        paths.iter().zip(&outages).map(|(path, (_, outage))| (path.as_str(), outage.clone())).collect();
    let keyed =
        Keyed::start_plan(&answers, |clusters| Plan { clusters, ..Plan::plugin(outage_settings("5m")) });
    std::thread::scope(|scope| {
        for (name, _) in &outages {
            let token = key.token(&outage_claims(name, 0));
            let gateway = &keyed.gateway;
            scope.spawn(move || {
                let (answer, took) = timed(|| gateway.get("/x", &token));
                assert_eq!((answer.status, answer.reason().as_str()), (503, "keys_unavailable"), "{name}");
                assert_eq!(answer.header("retry-after"), Some("1"), "{name}");
                assert!(took < Duration::from_secs(10), "{name}: held for {took:?}");
            });
        }
    });
    assert!(keyed.gateway.echo.all().is_empty());
    for path in &paths {
        keyed.keys.answer(path, Answer::Document(jwks(&[&key])));
    }
    for (number, (name, _)) in outages.iter().enumerate() {
        let token = key.token(&outage_claims(name, 100 + number));
        let opened = wait::until(LIMIT, || (keyed.gateway.get("/x", &token).status == 200).then_some(()));
        assert!(opened.is_some(), "{name}");
    }
}

#[test]
fn requests_wait_for_slow_keys_and_are_then_served() {
    let key = Signer::es256("k1");
    let keyed = Keyed::start(1, "5m", Answer::Wait);
    let mut connections: Vec<_> = (0..30)
        .map(|number| {
            let mut connection = keyed.gateway.connect();
            let token = key.token(&claims_with("ada", json!({"jti": number.to_string()})));
            connection.write(&head("GET /users/ada", &[&bearer(&token)])).unwrap();
            connection
        })
        .collect();
    keyed.release_once_held(30, &jwks(&[&key]));
    for connection in &mut connections {
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    assert_eq!(keyed.gateway.arrived().len(), 30);
    assert_eq!(keyed.fetches(), 1);
}

#[test]
fn slow_keys_hold_nobody_who_does_not_need_them() {
    let keyed = Keyed::start(1, "5m", Answer::Wait);
    assert_eq!(keyed.gateway.send("GET /public", &[]).status, 200);
    assert_eq!(keyed.gateway.send("GET /users/ada", &[]).status, 401);
    let stranger =
        Signer::es256("k1").token(&claims_with("ada", json!({"iss": "https://evil.example.test"})));
    assert_eq!(keyed.gateway.get("/users/ada", &stranger).status, 401);
}

#[test]
fn a_key_server_under_another_name_is_not_believed() {
    let workdir = Workdir::new().unwrap();
    let (shown, other) = (
        Certificate::make(&workdir.sub("shown").unwrap()).unwrap(),
        Certificate::make(&workdir.sub("other").unwrap()).unwrap(),
    );
    let key = Signer::es256("k1");
    let cases = [
        ("the right one", "localhost", &shown, true),
        ("another name", "keys.example.test", &shown, false),
        ("another authority", "localhost", &other, false),
    ];
    for (what, name, trusted, believed) in cases {
        let (door, keys) = (Port::any().unwrap(), Port::any().unwrap());
        let mut upstream = cluster("keys", keys.number());
        upstream["transport_socket"] = client_tls(name, trusted);
        let gateway = Gateway::start_on(
            Plan {
                listeners: vec![
                    Listener::plugin(settings(&[provider(remote(PATH, "5m"))])),
                    Listener::document(&jwks(&[&key]), server_tls(&shown)),
                ],
                clusters: vec![upstream],
                concurrency: 1,
                module: None,
            },
            vec![door, keys],
        );
        let answer = gateway.get("/users/ada", &key.token(&claims("ada")));
        if believed {
            assert_eq!(answer.status, 200, "{what}");
        } else {
            assert_eq!((answer.status, answer.reason().as_str()), (503, "keys_unavailable"), "{what}");
            gateway.wait_for_stat("cluster.keys.ssl.fail_verify_san", u64::from(what == "another name"));
            assert!(gateway.echo.all().is_empty());
        }
    }
}

fn server_tls(certificate: &Certificate) -> Value {
    let files = json!({
        "certificate_chain": {"filename": certificate.chain}, "private_key": {"filename": certificate.key},
    });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {"tls_certificates": [files]},
        },
    })
}

fn client_tls(name: &str, trusted: &Certificate) -> Value {
    let validation = json!({
        "trusted_ca": {"filename": trusted.chain},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}],
    });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": type_url("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
            "sni": name,
            "common_tls_context": {"validation_context": validation},
        },
    })
}
