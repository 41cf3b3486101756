//! Ways around a rule by spelling a path, with nothing in front of the plugin that would tidy it up. The rule for
//! `/admin/**` asks for a role, everything else is public: a path that is not seen for what it is would pass.

use crate::support::gateway::{Gateway, Plan, bearer};
use crate::support::settings::{claims_with, settings_for};
use crate::support::signer::{Signer, jwks};
use serde_json::json;

/// What a careless service would take for `/admin` or something below it.
const SPELLINGS: [&str; 34] = [
    "//admin",
    "/admin//users",
    "///admin/users",
    "/public//../admin",
    "/public/../admin",
    "/public/./../admin",
    "/./admin",
    "/admin/.",
    "/public/..",
    "/%2e%2e/admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/%2e/admin",
    "/public%2f..%2fadmin",
    "/public/..%2fadmin",
    "/%2fadmin",
    "/%2Fadmin",
    "/public%5c..%5cadmin",
    "/public\\..\\admin",
    "/\\admin",
    "/admin;x",
    "/admin;x/users",
    "/;/admin",
    "/public/..;/admin",
    "/%23/../admin",
    "/public%00/admin",
    "/admin%00",
    "/admin%0a",
    "/%252e%252e/admin",
    "/%c0%ae%c0%ae/admin",
    "/adm%69n%",
    "/admin%2",
    "/admin%zz",
];

#[test]
fn a_path_that_two_programs_read_differently_is_refused_by_the_plugin_alone() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    for path in SPELLINGS {
        let answer = gateway.send(&format!("GET {path}"), &[]);
        assert_eq!((answer.status, answer.reason().as_str()), (400, "ambiguous_path"), "{path}");
    }
    assert_eq!(gateway.arrived(), [""; 0]);
}

#[test]
fn fragments_and_control_bytes_do_not_arrive() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    // Some of these Envoy's own parser refuses already; which, is its business.
    let lines: [&[u8]; 7] = [
        b"GET /public#/admin",
        b"GET /public?a#/admin",
        b"GET /public\0/admin",
        b"GET /admin\0",
        b"GET /public\x01/../admin",
        b"GET /\xc3\xa9/../admin",
        b"GET public/admin",
    ];
    for line in lines {
        let request = [line, b" HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
        let answer = gateway.connect().send(&request).unwrap();
        let shown = String::from_utf8_lossy(line);
        assert_eq!(answer.status, 400, "{shown}");
    }
    assert_eq!(gateway.arrived(), [""; 0]);
    assert_eq!(gateway.send("GET /public", &[]).status, 200, "the worker still serves");
}

#[test]
fn an_encoded_letter_is_that_letter() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    for path in ["/adm%69n", "/%61dmin/users", "/admin/", "/admin?x=1", "/admin/?", "/ADM%49N/../x"] {
        let answer = gateway.send(&format!("GET {path}"), &[]);
        assert!(answer.status == 401 || answer.status == 400, "{path}: {}", answer.status);
    }
    assert_eq!(gateway.arrived(), [""; 0]);
    let admin = key.token(&claims_with("root", json!({"roles": ["admin"]})));
    assert_eq!(gateway.get("/adm%69n", &admin).status, 200, "and the right one gets in");
}

#[test]
fn a_star_in_a_path_is_a_star() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let ada = key.token(&claims_with("ada", json!({})));
    for path in
        ["/users/*", "/users/%2a", "/users/a*", "/users/{id}", "/users/%7Bid%7D", "/admin/*", "/admin/**"]
    {
        let answer = gateway.get(path, &ada);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "rule_denied"), "{path}");
    }
    assert_eq!(gateway.get("/users/ada", &ada).status, 200);
    // A user called `*` owns the profile called `*`, and no other.
    let star = key.token(&claims_with("*", json!({})));
    assert_eq!(gateway.get("/users/ada", &star).status, 403);
    assert_eq!(gateway.arrived(), ["/users/ada"]);
}

#[test]
fn only_method_and_path_decide() {
    let key = Signer::es256("k1");
    let gateway = Gateway::start(Plan::plugin(settings_for(&jwks(&[&key]))));
    let bearer = bearer(&key.token(&claims_with("ada", json!({}))));
    let names = ["x-http-method-override", "x-http-method", "x-method-override", "_method"];
    for name in names {
        let pretended = format!("{name}: GET");
        let answer = gateway.send("DELETE /inventory/1", &[&bearer, &pretended]);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "rule_denied"), "{name}");
    }
    let names =
        ["x-original-url", "x-rewrite-url", "x-envoy-original-path", "x-forwarded-uri", "x-original-uri"];
    for name in names {
        let pretended = format!("{name}: /public");
        let answer = gateway.send("GET /admin/users", &[&bearer, &pretended]);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "rule_denied"), "{name}");
        let answer = gateway.send("GET /denied/users", &[&pretended]);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "no_rule"), "{name}");
    }
    assert_eq!(gateway.arrived(), [""; 0]);
}
