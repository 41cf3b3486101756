//! What users do by way of their mails: prove an address, and replace a forgotten password.

use std::time::Duration;

use doorward_smtp_sink::{Security, Smtp};
use doorward_tests::certificate::Certificate;
use doorward_tests::http::Client;
use doorward_tests::process::Workdir;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::problem::refusal;
use crate::support::whole::{PASSWORD, Whole, text};

const EMAIL: &str = "ada@example.test";
const NEW_PASSWORD: &str = "n3wer-P@ssword!";

#[test]
fn a_user_proves_his_address_and_replaces_a_forgotten_password() {
    let smtp = Smtp::start().unwrap();
    let url = format!("smtp://127.0.0.1:{}", smtp.port());
    by_mail(&Whole::start_set(&settings(&url, ""), |plan| plan), &smtp);
}

#[test]
fn on_mongodb_and_over_tls_he_does_so_too() {
    let workdir = Workdir::new().unwrap();
    let certificate = Certificate::make(&workdir.path().join("smtp")).unwrap();
    let login = ("doorward", "p@ss/word");
    let smtp = Smtp::start_tls(certificate.server_config().unwrap(), Security::Tls, login).unwrap();
    let url = format!("smtps://doorward:p%40ss%2Fword@localhost:{}", smtp.port());
    let trusted = certificate.chain.display().to_string();
    let whole = Whole::start_set_on_mongodb(&settings(&url, &trusted));
    by_mail(&whole, &smtp);
    assert!(smtp.mails().iter().all(|mail| mail.encrypted));
}

#[test]
fn a_mail_server_that_is_not_to_be_trusted_gets_nothing() {
    let workdir = Workdir::new().unwrap();
    let make = |name: &str| Certificate::make(&workdir.path().join(name)).unwrap();
    let (trusted, other) = (make("trusted"), make("other"));
    let login = ("doorward", "password");
    let start = |certificate: &Certificate, security| {
        Smtp::start_tls(certificate.server_config().unwrap(), security, login).unwrap()
    };
    // Another certificate, another password, and no TLS at all.
    let servers = [
        ("smtps://doorward:password@localhost", "", start(&other, Security::Tls)),
        ("smtp://doorward:wrong@localhost", "?tls=required", start(&trusted, Security::StartTls)),
        ("smtp://doorward:password@localhost", "?tls=required", Smtp::start().unwrap()),
    ];
    for (before, after, smtp) in servers {
        let url = format!("{before}:{}{after}", smtp.port());
        let whole = Whole::start_set(&settings(&url, &trusted.chain.display().to_string()), |plan| plan);
        whole.register(EMAIL);
        let unreached = || {
            let metrics = Client::new(&whole.stack.issuer.management_url()).get("/metrics").ok()?;
            let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
            metrics.contains(r#"mails_total{outcome="no_server"}"#).then_some(())
        };
        wait::until(Duration::from_secs(20), unreached).expect("nobody tried to send it");
        assert_eq!((smtp.offered(), smtp.mails().len()), (0, 0), "{before}");
    }
}

#[test]
fn starttls_is_used_where_it_is_required() {
    let workdir = Workdir::new().unwrap();
    let certificate = Certificate::make(workdir.path()).unwrap();
    let login = ("doorward", "password");
    let smtp = Smtp::start_tls(certificate.server_config().unwrap(), Security::StartTls, login).unwrap();
    let url = format!("smtp://doorward:password@localhost:{}?tls=required", smtp.port());
    let trusted = certificate.chain.display().to_string();
    let whole = Whole::start_set(&settings(&url, &trusted), |plan| plan);
    whole.register(EMAIL);
    assert!(smtp.mail_to(EMAIL, 0).unwrap().encrypted);
}

#[test]
fn an_address_that_an_administrator_gives_is_proven_by_its_owner() {
    const NEW_EMAIL: &str = "ada@new.example.test";
    let smtp = Smtp::start().unwrap();
    let url = format!("smtp://127.0.0.1:{}", smtp.port());
    let whole = Whole::start_set(&settings(&url, ""), |plan| plan);
    let ada = text(&whole.register(EMAIL), "id");
    whole.stack.issuer.create_user("admin@example.test", PASSWORD, "admin").unwrap();
    let admin = text(&whole.log_in("admin@example.test", PASSWORD), "access_token");
    let headers =
        [("authorization", format!("Bearer {admin}")), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let edit = json!({ "email": NEW_EMAIL }).to_string().into_bytes();
    let edited = whole.gate.send("PATCH", &format!("/admin/users/{ada}"), &headers, edit).unwrap();
    assert_eq!((edited.status, &edited.json().unwrap()["email_verified"]), (200, &json!(false)));

    // The link that went to the old address proves nothing any more.
    let links = [smtp.mail_to(EMAIL, 0).unwrap(), smtp.mail_to(NEW_EMAIL, 0).unwrap()];
    let answers = links.map(|mail| post(&whole, "/auth/verify-email", &json!({ "token": mail.token() })));
    assert_eq!(answers, [401, 204]);
    let access = text(&whole.log_in(NEW_EMAIL, PASSWORD), "access_token");
    assert_eq!(whole.gate.get_as(&access, "/auth/me").unwrap().json().unwrap()["email_verified"], true);
}

fn by_mail(whole: &Whole, smtp: &Smtp) {
    whole.register(EMAIL);
    let tokens = whole.log_in(EMAIL, PASSWORD);
    let access = text(&tokens, "access_token");
    // The gateway's name is as the client says; the link's is not.
    let body = json!({ "email": EMAIL }).to_string().into_bytes();
    let headers = [("content-type", "application/json"), ("x-forwarded-host", "evil.example.test")];
    let asked = whole.gate.send("POST", "/auth/password-reset", &headers, body).unwrap();
    assert_eq!((asked.status, asked.body.len()), (202, 0), "{asked:?}");
    let (verification, reset) = (smtp.mail_to(EMAIL, 0).unwrap(), smtp.mail_to(EMAIL, 1).unwrap());
    for mail in [&verification, &reset] {
        assert!(
            mail.readable().contains("https://app.example.test/") && !mail.readable().contains("evil"),
            "{mail:?}"
        );
    }

    let verify = json!({ "token": verification.token() });
    assert_eq!(post(whole, "/auth/verify-email", &verify), 204);
    assert_eq!(whole.gate.get_as(&access, "/auth/me").unwrap().json().unwrap()["email_verified"], true);
    let refreshed = whole.gate.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] }));
    let tokens = refreshed.unwrap().json().unwrap();
    let path =
        format!("/users/{}", text(&whole.gate.get_as(&access, "/auth/me").unwrap().json().unwrap(), "id"));
    assert_eq!(whole.gate.get_as(&text(&tokens, "access_token"), &path).unwrap().status, 200);
    assert_eq!(whole.arrived(&path).header("x-user-email-verified"), [b"true"]);

    let confirm = json!({ "token": reset.token(), "new_password": NEW_PASSWORD });
    assert_eq!(post(whole, "/auth/password-reset/confirm", &confirm), 204);
    let again = whole.gate.post("/auth/password-reset/confirm", &confirm).unwrap();
    assert_eq!((refusal(&again).0, refusal(&again).1.as_str()), (401, "invalid_token"));
    assert_eq!(post(whole, "/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })), 401);
    assert_eq!(whole.gate.get_as(&text(&tokens, "access_token"), "/auth/me").unwrap().status, 401);
    assert_eq!(post(whole, "/auth/login", &json!({ "email": EMAIL, "password": PASSWORD })), 401);
    whole.log_in(EMAIL, NEW_PASSWORD);
}

fn post(whole: &Whole, path: &str, body: &Value) -> u16 {
    whole.gate.post(path, body).unwrap().status
}

/// Mails go to that server, whose certificate is in that file, if it has one.
fn settings<'a>(url: &'a str, trusted: &'a str) -> Vec<(&'a str, &'a str)> {
    let mail = [
        ("mail.smtp_url", url),
        ("mail.from", "no-reply@auth.example.test"),
        ("mail.base_url", "https://app.example.test"),
    ];
    let trusted = (!trusted.is_empty()).then_some(("SSL_CERT_FILE", trusted));
    mail.into_iter().chain(trusted).collect()
}
