use doorward_tests::files;
use doorward_tests::http::Client;
use doorward_tests::parts::{Listener, QueueKind, Rabbitmq};
use doorward_tests::wait;
use serde_json::{Value, json};

use super::schemas;
use crate::support::told::{SOON, Told};
use crate::support::whole::{PASSWORD, text};

const EMAIL: &str = "ada@example.test";
const QUEUE: &str = "mails";
const EXCHANGE: &str = "auth.mail";

/// As docs/mails.md tells operators to set it up: who may configure, write and read what.
const ACCOUNTS: [(&str, &str, &str, &str); 3] = [
    ("issuer", r"^auth\.(events|mail)$", r"^(auth\.(events|mail)|amq\.default)$", "^$"),
    ("mailer", "^mails$", "^mails$", r"^(auth\.mail|mails)$"),
    ("profiles", "^profiles$", "^profiles$", r"^(auth\.events|profiles)$"),
];

#[test]
fn a_service_that_sends_mails_in_our_place_gets_all_it_needs_and_nobody_else_does() {
    // As talkative as can be: even then no line of the log has a token.
    let settings = [
        ("events.mail_exchange", "true"),
        ("mail.base_url", "https://app.example.test"),
        ("telemetry.log", "trace"),
    ];
    let told = Told::start_set(&[], Rabbitmq::tls_url, &settings);
    let listener = told.listener();
    listener.bind("everything", QueueKind::Classic, &["#"]).unwrap();

    // Nobody has a queue yet: it is tried again, and is still there when somebody has.
    told.register(EMAIL);
    until_counted(&told, "unroutable");
    assert_eq!(mails(&told)["waiting"], json!(1));
    listener.bind_to(EXCHANGE, QUEUE, QueueKind::Quorum, &["#"]).unwrap();
    let verification = next(&listener);
    assert_eq!((&verification["kind"], &verification["to"]), (&json!("verify_email"), &json!(EMAIL)));
    let verify = json!({ "token": verification["token"] });
    assert_eq!(told.client.post("/auth/verify-email", &verify).unwrap().status, 204);

    // Whoever has no account has no mail coming, here as little as there.
    for email in ["nobody@example.test", EMAIL] {
        assert_eq!(told.client.post("/auth/password-reset", &json!({ "email": email })).unwrap().status, 202);
    }
    let reset = next(&listener);
    assert_eq!((&reset["kind"], &reset["to"]), (&json!("reset_password"), &json!(EMAIL)));
    let token = text(&reset, "token");
    assert_eq!(reset["link"], json!(format!("https://app.example.test/reset-password#token={token}")));
    let confirm = json!({ "token": token, "new_password": format!("{PASSWORD}-2") });
    assert_eq!(told.client.post("/auth/password-reset/confirm", &confirm).unwrap().status, 204);

    // What a queue has is gone from here; and so is the job that held no mail.
    let emptied = wait::until(SOON, || (mails(&told)["waiting"] == 0).then_some(()));
    assert!(emptied.is_some(), "{}", mails(&told));
    assert!(listener.take(QUEUE).unwrap().is_none());
    assert_eq!(mails(&told)["parked"], json!(0));

    let events = listener.drain("everything").unwrap();
    assert!(events.len() >= 3, "{events:?}");
    let log = told.issuer.process.log_text();
    assert!(log.contains("a mail was handed on"));
    for secret in [text(&verification, "token"), token] {
        assert!(!log.contains(&secret) && !log.contains(&as_bytes(&secret)), "the log has a token");
        assert!(events.values().all(|heard| !heard.event.to_string().contains(&secret)));
    }
}

#[test]
fn who_may_not_read_the_exchange_hears_of_no_mail() {
    let page = std::fs::read_to_string(files::root().join("docs/mails.md")).unwrap();
    for (user, configure, write, read) in ACCOUNTS {
        let permissions = format!("'{configure}' '{write}' '{read}'");
        let line =
            page.lines().find(|line| line.starts_with(&format!("rabbitmqctl set_permissions {user} ")));
        let line = line.expect("the page has that account").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.ends_with(&permissions), "{line}");
    }
    let as_issuer = |broker: &Rabbitmq| {
        for (user, configure, write, read) in ACCOUNTS {
            broker.control(&["add_user", user, "s3cret"]).unwrap();
            broker.control(&["set_permissions", user, configure, write, read]).unwrap();
        }
        broker.url().replace("guest:guest", "issuer:s3cret")
    };
    let told = Told::start_set(&[], as_issuer, &[("events.mail_exchange", "true")]);
    let url = told.broker.url();
    let as_user =
        |user: &str| Listener::connect(&url.replace("guest:guest", &format!("{user}:s3cret"))).unwrap();
    // The exchange is there a moment after the issuer is.
    let mailer = wait::until(SOON, || {
        let mailer = as_user("mailer");
        mailer.bind_to(EXCHANGE, QUEUE, QueueKind::Classic, &["#"]).is_ok().then_some(mailer)
    });
    let mailer = mailer.expect("the account may bind a queue");
    let profiles = as_user("profiles");
    profiles.bind("profiles", QueueKind::Classic, &["user.#"]).unwrap();
    let refused = profiles.bind_to(EXCHANGE, "profiles", QueueKind::Classic, &["#"]).unwrap_err();
    assert!(refused.to_string().contains("ACCESS_REFUSED"), "{refused}");
    told.register(EMAIL);
    let mail = next(&mailer);
    assert_eq!((&mail["kind"], &mail["link"]), (&json!("verify_email"), &Value::Null));
}

/// The next mail job, which is as its schema says.
fn next(listener: &Listener) -> Value {
    // What nobody had a queue for comes with the next attempt.
    let heard = listener.next(QUEUE, 2 * SOON).expect("a mail job");
    let job = heard.event;
    schemas::must_fit_schema(&job, "mail");
    assert_eq!((heard.exchange.as_str(), heard.content_type.as_str()), (EXCHANGE, "application/json"));
    assert_eq!((&job["kind"], &job["id"]), (&json!(heard.routing_key), &json!(heard.message_id)));
    assert!(heard.persistent);
    job
}

/// What `outbox status` says about mails.
fn mails(told: &Told) -> Value {
    told.issuer.ask(&["outbox", "status"]).unwrap()["mail"].clone()
}

fn until_counted(told: &Told, outcome: &str) {
    let counter = format!(r#"mails_total{{outcome="{outcome}"}}"#);
    let counted = wait::until(SOON, || {
        let metrics = Client::new(&told.issuer.management_url()).get("/metrics").ok()?;
        String::from_utf8_lossy(&metrics.body).contains(&counter).then_some(())
    });
    assert!(counted.is_some(), "no mail was ever {outcome}");
}

/// As `Debug` shows a text's bytes.
fn as_bytes(text: &str) -> String {
    format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned()
}
