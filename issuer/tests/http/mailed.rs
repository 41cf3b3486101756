use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_smtp_sink::{Behaviour, Received, Smtp};
use serde_json::json;

use super::issuer::{Issuer, PASSWORD, eventually, logged, metrics};
use super::wire::Answer;

const EMAIL: &str = "ada@example.test";
const NEW_PASSWORD: &str = "n3wer-P@ssword!";

/// An issuer that sends its mails there.
fn mailing(port: u16, more: &[(&str, &str)]) -> Issuer {
    let url = format!("smtp://127.0.0.1:{port}");
    let mail = [
        ("mail.smtp_url", url.as_str()),
        ("mail.from", "Doorward <no-reply@auth.example.test>"),
        ("mail.base_url", "https://app.example.test/account/"),
    ];
    Issuer::start_with(&[&mail[..], more].concat())
}

#[test]
fn a_forgotten_password_is_replaced_by_way_of_a_mail() {
    let smtp = Smtp::start().unwrap();
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    let old = issuer.login(EMAIL);
    let asked = issuer.post("/auth/password-reset", &json!({"email": "ADA@Example.test"}));
    assert_eq!((asked.status, asked.body.as_str()), (202, ""));
    let mail = smtp.mail_to(EMAIL, 1).unwrap();
    assert_eq!(mail.header("Subject"), Some("Set a new password"));
    let token = mail.token().unwrap();
    assert!(
        mail.readable().contains(&format!("https://app.example.test/account/reset-password#token={token}"))
    );

    let weak = confirm(&issuer, &token, "password123");
    assert_eq!((weak.status, weak.problem().as_str()), (422, "validation_failed"));
    assert_eq!(weak.json()["errors"][0]["field"], "new_password");
    let done = confirm(&issuer, &token, NEW_PASSWORD);
    assert_eq!((done.status, done.body.as_str()), (204, ""));
    assert_eq!(issuer.me(old["access_token"].as_str().unwrap()).problem(), "revoked");
    let old_password = issuer.post("/auth/login", &json!({"email": EMAIL, "password": PASSWORD}));
    assert_eq!(old_password.problem(), "invalid_credentials");
    let new = issuer.post("/auth/login", &json!({"email": EMAIL, "password": NEW_PASSWORD}));
    assert_eq!(new.status, 200, "{new:?}");

    let again = confirm(&issuer, &token, "an0ther-P@ssword!");
    assert_eq!((again.status, again.problem().as_str()), (401, "invalid_token"));
}

#[test]
fn an_address_is_confirmed_by_way_of_a_mail() {
    let smtp = Smtp::start().unwrap();
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    let tokens = issuer.login(EMAIL);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(issuer.me(access).json()["email_verified"], false);
    let resent = issuer.post("/auth/verify-email/resend", &json!({"email": EMAIL}));
    assert_eq!((resent.status, resent.body.as_str()), (202, ""));
    smtp.mail_to(EMAIL, 0).unwrap();
    let mail = smtp.mail_to(EMAIL, 1).unwrap();
    assert_eq!(mail.header("Subject"), Some("Confirm your e-mail address"));
    let body = json!({"token": mail.token().unwrap()});
    assert_eq!(issuer.post("/auth/verify-email", &body).status, 204);
    assert_eq!(issuer.me(access).json()["email_verified"], true, "the session goes on");
    assert_eq!(issuer.post("/auth/verify-email", &body).problem(), "invalid_token");
}

#[test]
fn a_mail_says_where_it_comes_from_and_whose_it_is() {
    let smtp = Smtp::start().unwrap();
    let issuer = mailing(smtp.port(), &[]);
    issuer.register("josé@example.test");
    issuer.register(EMAIL);
    let mail = smtp.mail_to(EMAIL, 0).unwrap();
    assert_eq!((mail.from.as_str(), mail.header("To")), ("no-reply@auth.example.test", Some(EMAIL)));
    assert_eq!(mail.header("From"), Some("Doorward <no-reply@auth.example.test>"));
    assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    assert!(mail.header("Message-ID").unwrap().ends_with("@auth.example.test>"), "{mail:?}");
    let id = |mail: &Received| mail.header("Message-ID").unwrap().to_owned();
    assert_ne!(id(&mail), id(&smtp.mail_to("josé@example.test", 0).unwrap()));
}

#[test]
fn the_answer_does_not_tell_who_has_an_account() {
    let smtp = Smtp::start().unwrap();
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    for path in ["/auth/password-reset", "/auth/verify-email/resend"] {
        let known = issuer.post(path, &json!({"email": EMAIL}));
        for other in ["nobody@example.test", "no address", ""] {
            let unknown = issuer.post(path, &json!({"email": other}));
            assert_eq!(
                (unknown.status, &unknown.body, comparable(&unknown)),
                (known.status, &known.body, comparable(&known)),
                "{path} {other:?}"
            );
        }
        let wrong = issuer.post(path, &json!({"email": 7}));
        assert_eq!((wrong.status, wrong.problem().as_str()), (422, "validation_failed"));
    }
    // What was written for nobody is gone without a mail.
    smtp.mail_to(EMAIL, 2).unwrap();
    eventually("an empty outbox", || (waiting(&issuer) == 0).then_some(()));
    assert!(smtp.mails().iter().all(|mail| mail.to == [EMAIL]));
}

#[test]
fn without_a_mail_server_the_answers_are_the_same_and_nothing_is_written() {
    let issuer = Issuer::start();
    issuer.register(EMAIL);
    for path in ["/auth/password-reset", "/auth/verify-email/resend"] {
        assert_eq!(issuer.post(path, &json!({"email": EMAIL})).status, 202);
    }
    assert_eq!(waiting(&issuer), 0);
    let tokens: i64 = count(&issuer, "SELECT count(*) FROM one_time_tokens");
    assert_eq!(tokens, 0);
    assert!(logged().contains("no mail goes out"), "an operator is told");
}

#[test]
fn where_addresses_are_confirmed_a_stranger_learns_nothing() {
    let smtp = Smtp::start().unwrap();
    let strict = [("registration.confirm_email", "true"), ("login.require_verified_email", "true")];
    let issuer = mailing(smtp.port(), &strict);
    let first = issuer.register(EMAIL);
    let second = issuer.post("/auth/register", &json!({"email": EMAIL, "password": NEW_PASSWORD}));
    assert_eq!(second.status, 201, "{second:?}");
    let second = second.json();
    assert_eq!(second["email"], first["email"]);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(smtp.mail_to(EMAIL, 1).unwrap().header("Subject"), Some("You already have an account"));
    for password in [PASSWORD, NEW_PASSWORD] {
        let refused = issuer.post("/auth/login", &json!({"email": EMAIL, "password": password}));
        assert_eq!(
            refused.problem(),
            "invalid_credentials",
            "{password}: not proven yet, or not the password"
        );
    }
    let token = smtp.mail_to(EMAIL, 0).unwrap().token().unwrap();
    assert_eq!(issuer.post("/auth/verify-email", &json!({"token": token})).status, 204);
    issuer.login(EMAIL);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what this is about")]
fn what_must_not_tell_takes_even_time() {
    const STEP: Duration = Duration::from_millis(50);
    let smtp = Smtp::start().unwrap();
    let issuer = mailing(smtp.port(), &[("registration.confirm_email", "true")]);
    issuer.register(EMAIL);
    let ask = |path: &str, email: &str, status: u16| {
        let since = Instant::now();
        let answer = issuer.post(path, &json!({"email": email, "password": NEW_PASSWORD}));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(since.elapsed() >= STEP, "{path} for {email} took {:?}", since.elapsed());
    };
    for email in [EMAIL, "nobody@example.test"] {
        ask("/auth/login", email, 401);
        ask("/auth/password-reset", email, 202);
        ask("/auth/verify-email/resend", email, 202);
        ask("/auth/register", email, 201);
    }
}

#[test]
fn the_store_holds_no_token_that_could_be_used() {
    let smtp = Smtp::start().unwrap();
    smtp.behave(Behaviour::Wait);
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    eventually("the mail to be offered", || (smtp.offered() == 1).then_some(()));
    // Main file and log, as a backup would have them, while the mail waits.
    let stored = ["issuer.db", "issuer.db-wal"]
        .map(|name| std::fs::read(issuer.database().with_file_name(name)).unwrap());
    let job: String = database(&issuer)
        .query_row("SELECT data FROM outbox WHERE channel = 'mail'", [], |row| row.get(0))
        .unwrap();
    smtp.behave(Behaviour::Take);
    let token = smtp.mail_to(EMAIL, 0).unwrap().token().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for secret in [token.as_bytes(), &bytes] {
        assert!(stored.iter().all(|file| !file.windows(secret.len()).any(|part| part == secret)));
    }
    assert!(!job.contains(EMAIL) && job.len() > 200, "{job}");
}

#[test]
fn mails_wait_for_a_server_that_is_down() {
    let (port, issuer) = with_a_mail_for_nobody();
    let smtp = eventually("the port", || Smtp::start_again(port).ok());
    smtp.mail_to(EMAIL, 0).unwrap();
    eventually("the mail to be gone", || (waiting(&issuer) == 0).then_some(()));
    assert_eq!(smtp.mails().len(), 1);
}

#[test]
fn a_mail_that_is_not_taken_is_tried_again() {
    for trouble in [Behaviour::Refuse(451), Behaviour::HangUp] {
        let smtp = Smtp::start().unwrap();
        smtp.behave(trouble);
        let issuer = mailing(smtp.port(), &[]);
        issuer.register(EMAIL);
        eventually("a second attempt", || (smtp.offered() > 1).then_some(()));
        smtp.behave(Behaviour::Take);
        smtp.mail_to(EMAIL, 0).unwrap();
        eventually("the mail to be gone", || (waiting(&issuer) == 0).then_some(()));
        assert_eq!(smtp.mails().len(), 1, "{trouble:?}");
    }
}

#[test]
fn a_mail_that_is_refused_is_parked_and_holds_nobody_up() {
    let smtp = Smtp::start().unwrap();
    smtp.behave(Behaviour::Refuse(550));
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    eventually("the mail to be parked", || (in_state(&issuer, "parked") == 1).then_some(()));
    smtp.behave(Behaviour::Take);
    issuer.register("bob@example.test");
    smtp.mail_to("bob@example.test", 0).unwrap();
    issuer.post("/auth/verify-email/resend", &json!({"email": EMAIL}));
    smtp.mail_to(EMAIL, 0).unwrap();
    assert_eq!(smtp.offered(), 3, "the refused one was not offered again");
    assert_eq!(tried(&issuer, "refused"), 1);
    let reason: String = database(&issuer)
        .query_row("SELECT reason FROM outbox WHERE state = 'parked'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(reason, "the server said 550", "and nothing of what else it said");
}

#[test]
fn a_slow_server_keeps_nobody_waiting() {
    let smtp = Smtp::start().unwrap();
    smtp.behave(Behaviour::Wait);
    let issuer = mailing(smtp.port(), &[]);
    issuer.register(EMAIL);
    eventually("the mail to be offered", || (smtp.offered() == 1).then_some(()));
    // The sender is stuck; requests are not.
    issuer.register("bob@example.test");
    issuer.login(EMAIL);
    assert_eq!(issuer.post("/auth/password-reset", &json!({"email": EMAIL})).status, 202);
    smtp.behave(Behaviour::Take);
    for (address, nth) in [(EMAIL, 1), ("bob@example.test", 0)] {
        smtp.mail_to(address, nth).unwrap();
    }
    smtp.behave(Behaviour::Wait);
    issuer.register("eve@example.test");
    eventually("the mail to be offered", || (smtp.offered() == 4).then_some(()));
    // The issuer ends well all the same.
}

#[test]
fn a_link_that_has_expired_on_its_way_is_not_sent() {
    let (port, issuer) = with_a_mail_for_nobody();
    issuer.clock.advance(std::time::Duration::from_hours(25));
    let smtp = eventually("the port", || Smtp::start_again(port).ok());
    eventually("the mail to be gone", || (waiting(&issuer) == 0).then_some(()));
    assert_eq!((smtp.offered(), tried(&issuer, "expired")), (0, 1));
}

/// An issuer that has tried to send a mail to a server that is down, and the port where that was.
fn with_a_mail_for_nobody() -> (u16, Issuer) {
    let port = {
        let gone = Smtp::start().unwrap();
        gone.port()
    };
    let issuer = mailing(port, &[]);
    issuer.register(EMAIL);
    eventually("an attempt", || (tried(&issuer, "no_server") > 0).then_some(()));
    (port, issuer)
}

fn confirm(issuer: &Issuer, token: &str, password: &str) -> Answer {
    issuer.post("/auth/password-reset/confirm", &json!({"token": token, "new_password": password}))
}

/// The headers that do not differ from one request to the next.
fn comparable(answer: &Answer) -> BTreeMap<&str, &str> {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, _)| !["x-request-id", "date"].contains(name)).collect()
}

/// How many mails wait.
fn waiting(issuer: &Issuer) -> i64 {
    in_state(issuer, "waiting")
}

fn in_state(issuer: &Issuer, state: &str) -> i64 {
    count(issuer, &format!("SELECT count(*) FROM outbox WHERE channel = 'mail' AND state = '{state}'"))
}

fn count(issuer: &Issuer, query: &str) -> i64 {
    database(issuer).query_row(query, [], |row| row.get(0)).unwrap()
}

fn database(issuer: &Issuer) -> rusqlite::Connection {
    rusqlite::Connection::open(issuer.database()).unwrap()
}

/// How many mails came to that.
fn tried(issuer: &Issuer, outcome: &str) -> u64 {
    let sample = format!("doorward_issuer_mails_total{{outcome=\"{outcome}\"}} ");
    metrics(issuer).lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).unwrap_or(0)
}
