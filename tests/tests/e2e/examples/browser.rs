//! A browser, its cookie, and pages of other origins.

use serde_json::json;

use crate::support::example::{Example, Keys, only};
use crate::support::settings::claims_with;
use crate::support::signer::Signer;

const APP: &str = "origin: https://app.example.test";
const OTHER: &str = "origin: https://evil.example.test";
const SAME: &str = "sec-fetch-site: same-origin";
const BODY: &str = "content-length: 0";

#[test]
fn a_cookie_opens_the_gate_for_the_applications_own_pages() {
    let key = Signer::es256("k1");
    let example = Example::start("cookies.yaml", &Keys::Issuer(&key));
    let token = key.token(&claims_with("ada", json!({})));
    let cookie = format!("cookie: theme=dark; __Host-access_token={token}; lang=en");

    let reply = example.send("GET /users/ada/cart", &[&cookie]);
    assert_eq!(reply.status, 200, "reading needs no origin: {reply:?}");
    let arrived = example.arrived("/users/ada/cart");
    assert_eq!(
        (only(&arrived, "x-user-id"), only(&arrived, "cookie")),
        ("ada".into(), "theme=dark; lang=en".into())
    );

    assert_eq!(example.send("GET /users/bob/cart", &[&cookie]).reason(), "rule_denied");
    for allowed in [APP, SAME] {
        assert_eq!(example.send("PUT /users/ada/cart", &[&cookie, allowed, BODY]).status, 200, "{allowed}");
    }
    for refused in
        [vec![], vec![OTHER], vec!["sec-fetch-site: same-site"], vec!["sec-fetch-site: cross-site"]]
    {
        let headers = [vec![cookie.as_str(), BODY], refused.clone()].concat();
        let reply = example.send("PUT /users/ada/cart", &headers);
        assert_eq!((reply.status, reply.reason().as_str()), (403, "cross_site"), "{refused:?}");
    }
    assert_eq!(example.send("GET /events", &[&cookie]).status, 200);

    let bearer = format!("authorization: Bearer {token}");
    assert_eq!(
        example.send("PUT /users/ada/cart", &[&bearer, BODY]).status,
        200,
        "no browser sends that by itself"
    );
    assert_eq!(example.send("GET /users/ada/cart", &[&bearer, &cookie]).reason(), "several_credentials");
    assert_eq!(example.send("POST /session", &[&cookie, BODY]).status, 200);
    let at_session = example.arrived("/session");
    assert!(
        only(&at_session, "cookie").contains("__Host-access_token"),
        "a public door leaves cookies alone"
    );
    assert!(at_session.header("x-user-id").is_empty());
}

#[test]
fn pages_of_the_application_may_ask_and_read_refusals_and_others_may_not() {
    let example = Example::start("cookies.yaml", &Keys::Issuer(&Signer::es256("k1")));
    let preflight = ["access-control-request-method: PUT", "access-control-request-headers: content-type"];

    let ours = example.send("OPTIONS /users/ada/cart", &[&preflight[..], &[APP]].concat());
    assert_eq!(ours.status, 200);
    assert_eq!(ours.header("access-control-allow-origin"), Some("https://app.example.test"));
    assert_eq!(ours.header("access-control-allow-credentials"), Some("true"));
    let theirs = example.send("OPTIONS /users/ada/cart", &[&preflight[..], &[OTHER]].concat());
    assert_eq!((theirs.status, theirs.header("access-control-allow-origin")), (401, None));

    let refused = example.send("GET /users/ada/cart", &[APP]);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.test"));
    let unseen = example.send("GET /users/ada/cart", &[OTHER]);
    assert_eq!((unseen.status, unseen.header("access-control-allow-origin")), (401, None));
    assert!(example.echo.all().is_empty());
}
