use std::collections::{BTreeMap, BTreeSet};

use doorward_issuer::telemetry::Stopwatch;
use serde_json::json;

use super::issuer::{Issuer, PASSWORD, eventually, metrics};
use super::wire::{begin, send};

/// Kind and labels of each metric, by name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What `docs/operations.md` says.
fn documented() -> Metrics {
    let page = include_str!("../../../docs/operations.md");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| `doorward_issuer_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = quoted(cells[1]).remove(0);
        assert_eq!(name.ends_with("_seconds"), cells[3] == "seconds", "the unit of {name}");
        assert!(!cells[5].is_empty(), "what {name} means");
        (name, (cells[2].to_owned(), quoted(cells[4]).into_iter().collect()))
    })
    .collect()
}

/// What `/metrics` says.
fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        metrics.insert(format!("{name}{suffix}"), (kind.to_owned(), BTreeSet::new()));
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let sample = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let (_, known) = metrics.get_mut(name).unwrap_or_else(|| panic!("{line} has no type"));
        // Outside the quotes there are names, `=`, `,` and the closing brace.
        let labels = labels.split('"').step_by(2).map(|name| name.trim_matches([',', '=', '}']));
        known.extend(labels.filter(|name| !["", "le"].contains(name)).map(str::to_owned));
    }
    metrics
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let tokens = issuer.login("a@b.com");
    issuer.post("/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]}));
    // The only one that nothing above has moved.
    let has_looked = |text: &str| text.contains("doorward_issuer_key_ring_looks_total{");
    let text = eventually("a look at the keys", || Some(metrics(&issuer)).filter(|text| has_looked(text)));
    assert_eq!(exposed(&text), documented());
}

#[test]
fn outcomes_routes_and_statuses_are_counted() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    issuer.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    issuer.login("a@b.com");
    for password in ["wrong", "wrong again"] {
        issuer.post("/auth/login", &json!({"email": "a@b.com", "password": password}));
    }
    let tokens = issuer.login("a@b.com");
    for token in [&tokens["refresh_token"], &tokens["access_token"]] {
        issuer.post("/auth/refresh", &json!({"refresh_token": token}));
    }
    send(issuer.public, "DELETE /auth/sessions/a@b.com", &[], b"");
    issuer.get("/somewhere/a@b.com");
    let counted = [
        r#"doorward_issuer_registrations_total{outcome="success"} 1"#,
        r#"doorward_issuer_registrations_total{outcome="email_taken"} 1"#,
        r#"doorward_issuer_refreshes_total{outcome="success"} 1"#,
        r#"doorward_issuer_refreshes_total{outcome="forged"} 1"#,
        r#"doorward_issuer_logins_total{outcome="success"} 2"#,
        r#"doorward_issuer_logins_total{outcome="invalid_credentials"} 2"#,
        r#"doorward_issuer_http_requests_total{route="/auth/login",status="2xx"} 2"#,
        r#"doorward_issuer_http_requests_total{route="/auth/login",status="4xx"} 2"#,
        r#"doorward_issuer_http_requests_total{route="/auth/sessions/{sid}",status="4xx"} 1"#,
        r#"doorward_issuer_http_requests_total{route="-",status="4xx"} 1"#,
        r#"doorward_issuer_store_seconds_count{operation="users.insert"} 2"#,
        r#"doorward_issuer_store_seconds_count{operation="sessions.open"} 2"#,
        "doorward_issuer_password_wait_seconds_count 6",
        "doorward_issuer_password_queue_length 0",
    ];
    let text = metrics(&issuer);
    for line in counted {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_store_is_not_asked_for_its_health_by_everybody() {
    let issuer = Issuer::start();
    let stopwatch = Stopwatch::start();
    for _ in 0..50 {
        assert_eq!(issuer.get("/health").status, 200);
        assert_eq!(send(issuer.management, "GET /health/ready", &[], b"").status, 200);
    }
    let text = metrics(&issuer);
    let name = r#"doorward_issuer_store_seconds_count{operation="health.ping"} "#;
    let asked: f64 = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap();
    assert!(asked <= 1.0 + stopwatch.milliseconds() / 1000.0, "asked {asked} times");
}

#[test]
fn keys_grow_old() {
    let issuer = Issuer::start();
    let age = |kind: &str| -> f64 {
        let name = format!(r#"doorward_issuer_key_age_seconds{{kind="{kind}"}} "#);
        let text = metrics(&issuer);
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    issuer.clock.advance(std::time::Duration::from_secs(86_400));
    for kind in ["pepper", "refresh", "mail", "signing:ES256"] {
        assert!((86_400.0..90_000.0).contains(&age(kind)), "{kind}: {}", age(kind));
    }
}

#[test]
fn the_queue_of_passwords_is_seen_from_outside() {
    // Slow enough for the others to wait behind the first.
    let issuer = Issuer::start_with(&[("password.cost", "13"), ("password.threads", "1")]);
    std::thread::scope(|scope| {
        for number in 0..3 {
            let body = json!({"email": format!("a{number}@b.com"), "password": PASSWORD});
            let issuer = &issuer;
            scope.spawn(move || issuer.post("/auth/login", &body));
        }
        eventually("a password that waits", || {
            let text = metrics(&issuer);
            let length =
                text.lines().find_map(|line| line.strip_prefix("doorward_issuer_password_queue_length "));
            length.filter(|length| *length != "0").map(drop)
        });
    });
}

#[test]
fn who_hangs_up_gives_his_place_back() {
    let issuer = Issuer::start_with(&[("password.cost", "16"), ("password.threads", "1")]);
    let queue = |length: &str| {
        let line = format!("doorward_issuer_password_queue_length {length}");
        eventually(&line, || metrics(&issuer).lines().any(|found| found == line).then_some(()));
    };
    let body = json!({"email": "a@b.com", "password": PASSWORD}).to_string();
    let clients: Vec<_> = (0..3).map(|_| begin(issuer.public, "POST /auth/login", body.as_bytes())).collect();
    // One is at work; who works on it to the end, for somebody or nobody, takes long.
    queue("2");
    drop(clients);
    queue("0");
    let text = metrics(&issuer);
    assert!(text.lines().any(|line| line == "doorward_issuer_password_wait_seconds_count 1"), "{text}");
}

#[test]
fn metrics_are_for_who_has_the_token() {
    let issuer = Issuer::start_with(&[("server.management_token", "open-sesame")]);
    let refused = send(issuer.management, "GET /metrics", &[], b"");
    assert_eq!((refused.status, refused.problem().as_str()), (401, "missing_credential"));
    assert!(!refused.body.contains("doorward_issuer_"), "{refused:?}");
    let bearer = [("authorization", "Bearer open-sesame")];
    let answer = send(issuer.management, "GET /metrics", &bearer, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.body.ends_with("# EOF\n"), "{answer:?}");
    assert_eq!(issuer.get("/metrics").problem(), "not_found", "not on the public listener");
}
