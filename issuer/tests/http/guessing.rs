use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Issuer, PASSWORD, log_line, metrics};
use super::wire::{Answer, send};

const EMAIL: &str = "a@b.com";

/// One attempt, by way of a proxy that says where it came from.
fn attempt(issuer: &Issuer, forwarded: &[&str], name: &str, password: &str) -> Answer {
    let body = json!({"login": name, "password": password}).to_string();
    let mut headers = vec![("content-type", "application/json"), ("user-agent", "a browser/1.0")];
    headers.extend(forwarded.iter().map(|line| ("x-forwarded-for", *line)));
    send(issuer.public, "POST /auth/login", &headers, body.as_bytes())
}

fn guess(issuer: &Issuer, forwarded: &str, name: &str) -> Answer {
    attempt(issuer, &[forwarded], name, "not the password")
}

fn behind_a_proxy() -> Issuer {
    let issuer = Issuer::start_with(&[("server.trusted_hops", "1")]);
    issuer.register(EMAIL);
    issuer
}

fn history(issuer: &Issuer, token: &str, query: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    issuer.get_with(&format!("/auth/login-history{query}"), &[("authorization", &bearer)])
}

#[test]
fn the_sixth_guess_is_told_when_to_come_back() {
    let issuer = behind_a_proxy();
    for name in [EMAIL, "nobody@b.com", "nobody", "\u{0}", ""] {
        for _ in 0..5 {
            let answer = guess(&issuer, "192.0.2.1", name);
            assert_eq!((answer.status, answer.problem().as_str()), (401, "invalid_credentials"), "{name:?}");
            assert_eq!(answer.header("retry-after"), None);
        }
        let answer = guess(&issuer, "192.0.2.1", name);
        assert_eq!((answer.status, answer.problem().as_str()), (429, "too_many_attempts"), "{name:?}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=15).contains(&wait), "{wait}");
    }
    let text = metrics(&issuer);
    let counted = r#"doorward_issuer_logins_total{outcome="too_many_attempts"} 5"#;
    assert!(text.lines().any(|line| line == counted), "{text}");
    issuer.clock.advance(Duration::from_secs(15));
    assert_eq!(attempt(&issuer, &["192.0.2.1"], EMAIL, PASSWORD).status, 200);
}

#[test]
fn nobody_gets_away_by_inventing_addresses() {
    let issuer = behind_a_proxy();
    // The proxy appends the address it sees; everything before that is the client's invention.
    let games = [
        vec!["10.0.0.1, 192.0.2.1"],
        vec!["10.0.0.2", "192.0.2.1"],
        vec!["unknown, 192.0.2.1"],
        vec![",,,192.0.2.1:4711"],
        vec!["::ffff:192.0.2.1"],
        vec!["1, [::ffff:192.0.2.1]:80"],
    ];
    let statuses: Vec<u16> =
        games.iter().map(|lines| attempt(&issuer, lines, EMAIL, "not the password").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(guess(&issuer, "192.0.2.1, 192.0.2.2", EMAIL).status, 401, "that one is somebody else");
}

#[test]
fn a_network_of_ipv6_is_one_place() {
    let issuer = behind_a_proxy();
    let hosts = ["::1", "::2", ":ffff::3", ":1:2:3:4", "::5", "::6"];
    let statuses = hosts.map(|host| guess(&issuer, &format!("2001:db8:0:1{host}"), EMAIL).status);
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(guess(&issuer, "2001:db8:0:2::1", EMAIL).status, 401, "the neighbour's");
}

#[test]
fn without_trusted_hops_nobody_is_believed() {
    let issuer = Issuer::start();
    issuer.register(EMAIL);
    let statuses: Vec<u16> = (0..6).map(|n| guess(&issuer, &format!("10.0.0.{n}"), EMAIL).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
}

#[test]
fn limits_can_be_set() {
    let settings = [("limits.pair_free", "2"), ("limits.pair_wait", "1m"), ("server.trusted_hops", "1")];
    let issuer = Issuer::start_with(&settings);
    let answers: Vec<Answer> = (0..3).map(|_| guess(&issuer, "192.0.2.1", EMAIL)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 401, 429]);
    let wait: u64 = answers[2].header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
}

#[test]
fn guessing_the_current_password_is_slowed_down_too() {
    let issuer = behind_a_proxy();
    let tokens = issuer.login(EMAIL);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": "n3wer-P@ssword!"}).to_string();
        send(issuer.public, "POST /auth/change-password", &headers, body.as_bytes())
    };
    for _ in 0..5 {
        assert_eq!(change("not the password").problem(), "invalid_credentials");
    }
    let refused = change(PASSWORD);
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too_many_attempts"));
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn users_see_who_tried_to_be_them() {
    let issuer = behind_a_proxy();
    issuer.register("other@b.com");
    assert_eq!(guess(&issuer, "2001:db8::7", "other@b.com").status, 401);
    assert_eq!(guess(&issuer, "192.0.2.7", EMAIL).status, 401);
    let tokens = attempt(&issuer, &["192.0.2.8"], EMAIL, PASSWORD).json();
    let token = tokens["access_token"].as_str().unwrap();

    let answer = history(&issuer, token, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let items = body["items"].as_array().unwrap();
    assert_eq!((items.len(), body.get("next_cursor")), (2, None));
    let seen = |item: &Value| {
        assert!(item["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{item}");
        assert!(item["id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok(), "{item}");
        ["outcome", "reason", "address", "user_agent"].map(|name| item[name].as_str().map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(seen(&items[0]), [some("success"), None, some("192.0.2.8"), some("a browser/1.0")]);
    let failure = [some("failure"), some("wrong_password"), some("192.0.2.7"), some("a browser/1.0")];
    assert_eq!(seen(&items[1]), failure);

    let first = history(&issuer, token, "?limit=1").json();
    assert_eq!(first["items"], json!([items[0]]));
    let next = format!("?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = history(&issuer, token, &next).json();
    assert_eq!((&second["items"], second.get("next_cursor")), (&json!([items[1]]), None));
    for query in ["?cursor=x", "?limit=0", "?limit=many"] {
        assert_eq!(history(&issuer, token, query).problem(), "validation_failed", "{query}");
    }
    assert_eq!(issuer.get("/auth/login-history").problem(), "missing_credential");
}

#[test]
fn administrators_see_who_guesses_and_unlock_whom_it_hits() {
    let issuer = behind_a_proxy();
    let admin = issuer.somebody_with("admin@b.com", &["admin"]);
    let ask = |line: &str| issuer.ask(&admin, line, &Value::Null);
    let bearer = issuer.login(EMAIL)["access_token"].as_str().unwrap().to_owned();
    let id = issuer.me(&bearer).json()["id"].as_str().unwrap().to_owned();
    for bot in 0..10 {
        assert_eq!(guess(&issuer, &format!("198.51.100.{bot}"), EMAIL).status, 401);
    }
    for _ in 0..5 {
        guess(&issuer, "192.0.2.1", EMAIL);
    }
    assert_eq!(attempt(&issuer, &["192.0.2.1"], EMAIL, PASSWORD).status, 429);

    let alerts = ask("GET /admin/alerts").json();
    let [alert] = alerts["items"].as_array().unwrap().as_slice() else { panic!("{alerts}") };
    assert_eq!((&alert["kind"], &alert["user"]), (&json!("many_failures"), &json!(id)));
    assert_eq!(
        (&alert["details"]["failures"], &alert["details"]["address"]),
        (&json!(10), &json!("198.51.100.9"))
    );
    assert!(alert["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{alert}");

    let history = ask(&format!("GET /admin/users/{id}/login-history?limit=5"));
    assert_eq!(history.status, 200, "{history:?}");
    assert_eq!(history.json()["items"].as_array().unwrap().len(), 5);
    assert!(history.json()["next_cursor"].is_string());

    for _ in 0..2 {
        assert_eq!(ask(&format!("POST /admin/users/{id}/unlock")).status, 204);
    }
    assert_eq!(attempt(&issuer, &["192.0.2.1"], EMAIL, PASSWORD).status, 200);
    let audit = ask("GET /admin/audit").json();
    let unlocked: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "user.unlocked")
        .collect();
    assert_eq!(unlocked.len(), 1, "the second time there was nothing to unlock: {audit}");
    assert_eq!(unlocked[0]["subject"]["id"], json!(id));

    let nobody = uuid::Uuid::nil();
    for line in
        [format!("GET /admin/users/{nobody}/login-history"), format!("POST /admin/users/{nobody}/unlock")]
    {
        assert_eq!(ask(&line).problem(), "not_found", "{line}");
    }
}

#[test]
fn a_refusal_is_one_line_without_the_name() {
    let issuer = behind_a_proxy();
    let body = json!({"login": "somebody.else@guessing.test", "password": "wrong"}).to_string();
    let headers = [("content-type", "application/json"), ("x-request-id", "guess-1")];
    for _ in 0..6 {
        send(issuer.public, "POST /auth/login", &headers, body.as_bytes());
    }
    issuer.get_with("/health", &[("x-request-id", "guess-last")]);
    log_line("guess-last");
    let logged = super::issuer::logged();
    assert!(logged.contains("too_many_attempts"));
    assert!(!logged.contains("somebody.else@guessing.test"));
}
