use std::collections::BTreeSet;

use doorward_smtp_sink::{Behaviour, Smtp};
use serde_json::{Value, json};

use super::issuer::{Issuer, claims, eventually, log_line, logged};
use super::wire::{Answer, send};

const EMAIL: &str = "whole.address@redaction.test";
const OTHER_EMAIL: &str = "another.address@redaction.test";
const THIRD_EMAIL: &str = "a.third.address@redaction.test";
const PASSWORD: &str = "Redact-me-9173";
const NEW_PASSWORD: &str = "Redact-me-too-2846";
const MANAGEMENT_TOKEN: &str = "management-hush-hush";

#[test]
fn no_secret_reaches_the_log_or_the_metrics() {
    let mut tour = Tour::start();
    tour.through_every_route();
    tour.through_every_route_with_nonsense();

    let routes: BTreeSet<String> = tour.issuer.routes.concat().into_iter().collect();
    assert_eq!(tour.visited, routes, "a route without a visit above");

    let bearer = format!("Bearer {MANAGEMENT_TOKEN}");
    let last = [("authorization", bearer.as_str()), ("x-request-id", "redaction-last")];
    let metrics = send(tour.issuer.management, "GET /metrics", &last, b"").body;
    log_line("redaction-last");
    let logged = logged();
    assert!(logged.contains("/auth/change-password") && metrics.contains("/auth/change-password"));
    for secret in &tour.secrets {
        assert!(secret.len() > 8, "{secret} may be anywhere");
        assert!(!logged.contains(secret), "the log holds {secret}");
        assert!(!metrics.contains(secret), "the metrics hold {secret}");
    }
}

/// Goes through the issuer, and remembers where it was and what it must not find in the log.
struct Tour {
    issuer: Issuer,
    smtp: Smtp,
    visited: BTreeSet<String>,
    secrets: Vec<String>,
}

impl Tour {
    fn start() -> Self {
        let smtp = Smtp::start().unwrap();
        let url = format!("smtp://127.0.0.1:{}", smtp.port());
        let issuer = Issuer::start_with(&[
            ("server.management_token", MANAGEMENT_TOKEN),
            ("mail.smtp_url", &url),
            ("mail.from", "no-reply@redaction.test"),
            ("mail.base_url", "https://redaction.test"),
        ]);
        let secrets = [EMAIL, OTHER_EMAIL, THIRD_EMAIL, PASSWORD, NEW_PASSWORD, MANAGEMENT_TOKEN]
            .map(str::to_owned)
            .to_vec();
        Self { issuer, smtp, visited: BTreeSet::new(), secrets }
    }

    /// As a good client would, and then as a thief.
    fn through_every_route(&mut self) {
        let account = json!({"email": EMAIL, "password": PASSWORD});
        self.visit("POST /auth/register", 201, None, &account);
        self.visit("POST /auth/register", 409, None, &account);
        self.visit("POST /auth/login", 401, None, &json!({"email": EMAIL, "password": NEW_PASSWORD}));
        let (access, refresh) = self.log_in(PASSWORD);
        self.visit("GET /auth/me", 200, Some(&access), &Value::Null);
        self.visit("GET /auth/me", 401, Some(&refresh), &Value::Null);
        self.visit("GET /auth/sessions", 200, Some(&access), &Value::Null);
        self.visit("GET /auth/login-history", 200, Some(&access), &Value::Null);
        self.visit("POST /auth/validate", 200, None, &json!({"token": access}));
        self.visit("POST /auth/validate", 200, None, &json!({"token": refresh}));

        let (_, child) = self.refresh(&refresh);
        self.refresh(&child);
        self.visit("POST /auth/refresh", 401, None, &json!({"refresh_token": refresh}));
        self.visit("POST /auth/refresh", 401, None, &json!({"refresh_token": access}));

        let (access, refresh) = self.log_in(PASSWORD);
        self.visit("POST /auth/logout", 204, None, &json!({"refresh_token": refresh}));
        self.visit("GET /auth/me", 401, Some(&access), &Value::Null);
        let (access, _) = self.log_in(PASSWORD);
        let session = claims(&access)["sid"].as_str().unwrap().to_owned();
        let line = format!("DELETE /auth/sessions/{session}");
        self.visit_at("DELETE /auth/sessions/{sid}", &line, 204, Some(&access), &Value::Null);
        let (access, _) = self.log_in(PASSWORD);
        let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        self.visit("POST /auth/change-password", 200, Some(&access), &change);
        let (access, _) = self.log_in(NEW_PASSWORD);
        self.visit("POST /auth/logout-all", 204, Some(&access), &Value::Null);

        self.by_mail();
        self.administer();

        for page in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/health"] {
            self.visit(&format!("GET {page}"), 200, None, &Value::Null);
        }
        for page in ["/openapi.json", "/docs"] {
            self.visit(&format!("GET {page}"), 200, None, &Value::Null);
        }
        for page in ["/health/live", "/health/ready", "/metrics", "/revocations"] {
            self.visit(&format!("GET {page}"), 200, Some(MANAGEMENT_TOKEN), &Value::Null);
            self.visit(&format!("GET {page}"), 401, Some(&format!("{MANAGEMENT_TOKEN}-")), &Value::Null);
        }
    }

    /// As an administrator would who makes an account, changes whatever there is to change, and removes it.
    fn administer(&mut self) {
        self.issuer.give_roles(EMAIL, &["admin"]);
        let (access, _) = self.log_in(NEW_PASSWORD);
        let new = json!({"email": OTHER_EMAIL, "password": PASSWORD});
        let other = self.visit("POST /admin/users", 201, Some(&access), &new).json();
        let other = other["id"].as_str().unwrap().to_owned();
        self.visit("POST /admin/users", 409, Some(&access), &new);
        let mut visit = |route: &str, status: u16, body: Value| {
            let line = route.replace("{id}", &other).replace("{name}", "auditor");
            self.visit_at(route, &line, status, Some(&access), &body);
        };
        visit("PUT /admin/roles/{name}", 201, json!({"permissions": ["audit:read"]}));
        visit("PUT /admin/users/{id}/roles", 200, json!({"roles": ["auditor"]}));
        visit("PATCH /admin/users/{id}", 409, json!({"email": EMAIL}));
        visit("PATCH /admin/users/{id}", 200, json!({"email": THIRD_EMAIL}));
        for list in [
            "/admin/users",
            "/admin/roles",
            "/admin/audit",
            "/admin/alerts",
            "/admin/users/{id}/login-history",
            "/admin/users/{id}",
            "/admin/users/{id}/sessions",
        ] {
            visit(&format!("GET {list}"), 200, Value::Null);
        }
        visit("GET /admin/roles/{name}", 200, Value::Null);
        for act in ["suspend", "resume", "unlock", "logout"] {
            visit(&format!("POST /admin/users/{{id}}/{act}"), 204, Value::Null);
        }
        visit("DELETE /admin/users/{id}", 204, Value::Null);
        visit("DELETE /admin/roles/{name}", 204, Value::Null);
        let search = format!("GET /admin/users?q={EMAIL}&cursor={access}");
        self.visit_at("GET /admin/users", &search, 422, Some(&access), &Value::Null);
    }

    /// With the links that were mailed: a mail that is refused at first, and tokens that are used twice.
    fn by_mail(&mut self) {
        self.smtp.behave(Behaviour::Refuse(451));
        let asked = self.smtp.offered();
        let address = json!({"email": EMAIL});
        self.visit("POST /auth/verify-email/resend", 202, None, &address);
        eventually("a mail to be refused", || (self.smtp.offered() > asked).then_some(()));
        self.smtp.behave(Behaviour::Take);
        self.visit("POST /auth/password-reset", 202, None, &address);
        let mailed = |smtp: &Smtp, page: &str| {
            let mails = smtp.mails().into_iter().filter(|mail| mail.readable().contains(page));
            mails.filter_map(|mail| mail.token()).next_back()
        };
        // Before, logging out everywhere and the new password have killed the link that came with the registration.
        let (verify, reset) = eventually("the links", || {
            let verify = mailed(&self.smtp, "/verify-email#").filter(|_| self.smtp.mails().len() == 3)?;
            Some((verify, mailed(&self.smtp, "/reset-password#")?))
        });
        self.secrets.extend([verify.clone(), reset.clone()]);
        self.visit("POST /auth/verify-email", 401, None, &json!({"token": reset}));
        self.visit("POST /auth/verify-email", 204, None, &json!({"token": verify}));
        self.visit("POST /auth/verify-email", 401, None, &json!({"token": verify}));
        let weak = json!({"token": reset, "new_password": EMAIL});
        self.visit("POST /auth/password-reset/confirm", 422, None, &weak);
        let good = json!({"token": reset, "new_password": NEW_PASSWORD});
        self.visit("POST /auth/password-reset/confirm", 204, None, &good);
        self.visit("POST /auth/password-reset/confirm", 401, None, &good);
    }

    /// Every secret where it does not belong: in the query, in a cookie, in bodies that are no JSON or of the wrong shape.
    fn through_every_route_with_nonsense(&mut self) {
        let (access, refresh) = self.log_in(NEW_PASSWORD);
        let query = format!("?access_token={access}&email={EMAIL}&password={PASSWORD}&cursor={refresh}");
        let cookie = format!("access_token={access}; refresh_token={refresh}");
        let basic = format!("Basic {PASSWORD}");
        let wrong = json!({"email": [EMAIL], "password": {"is": PASSWORD}, "token": [access], "refresh_token": [refresh]});
        let broken = format!(r#"{{"email": "{EMAIL}", "password": "{PASSWORD}", "token": "{access}""#);
        for route in self.issuer.routes.concat() {
            let line = format!(
                "{}{query}",
                route.replace("{sid}", EMAIL).replace("{id}", EMAIL).replace("{name}", EMAIL)
            );
            for body in [wrong.to_string(), broken.clone()] {
                for credential in [&basic, &format!("Bearer {access}")] {
                    let headers = [
                        ("content-type", "application/json"),
                        ("cookie", &cookie),
                        ("authorization", credential),
                    ];
                    send(self.listener(&route), &line, &headers, body.as_bytes());
                }
            }
        }
    }

    fn log_in(&mut self, password: &str) -> (String, String) {
        let answer =
            self.visit("POST /auth/login", 200, None, &json!({"email": EMAIL, "password": password}));
        self.tokens(&answer)
    }

    fn refresh(&mut self, token: &str) -> (String, String) {
        let answer = self.visit("POST /auth/refresh", 200, None, &json!({"refresh_token": token}));
        self.tokens(&answer)
    }

    fn tokens(&mut self, answer: &Answer) -> (String, String) {
        let [access, refresh] =
            ["access_token", "refresh_token"].map(|name| answer.json()[name].as_str().unwrap().to_owned());
        let signature = access.rsplit('.').next().unwrap().to_owned();
        self.secrets.extend([access.clone(), signature, refresh.clone()]);
        (access, refresh)
    }

    fn visit(&mut self, route: &str, status: u16, bearer: Option<&str>, body: &Value) -> Answer {
        self.visit_at(route, route, status, bearer, body)
    }

    #[track_caller]
    fn visit_at(
        &mut self,
        route: &str,
        line: &str,
        status: u16,
        bearer: Option<&str>,
        body: &Value,
    ) -> Answer {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(self.listener(route), line, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        self.visited.insert(route.to_owned());
        answer
    }

    fn listener(&self, route: &str) -> std::net::SocketAddr {
        let [_, management] = &self.issuer.routes;
        if management.iter().any(|known| known == route) {
            self.issuer.management
        } else {
            self.issuer.public
        }
    }
}
