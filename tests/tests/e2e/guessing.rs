//! Who guesses passwords through the gate, and what the user hears of it.

use doorward_tests::http::Reply;
use serde_json::json;

use crate::support::problem::refusal;
use crate::support::whole::{PASSWORD, Whole, text};

/// A login whose client says that it is somebody else.
fn attempt(whole: &Whole, invented: &str, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password }).to_string();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", invented)];
    whole.gate.send("POST", "/auth/login", &headers, body.into_bytes()).unwrap()
}

#[test]
fn inventing_addresses_does_not_help_who_guesses() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    let invented =
        ["192.0.2.1", "192.0.2.2, 192.0.2.3", "::ffff:192.0.2.4", "2001:db8::5", "unknown", "192.0.2.6"];
    for email in ["ada@example.test", "nobody@example.test"] {
        let replies: Vec<_> = invented.iter().map(|from| attempt(&whole, from, email, "a guess")).collect();
        let (last, first) = replies.split_last().unwrap();
        for reply in first {
            assert_eq!(refusal(reply), (401, "invalid_credentials".to_owned(), None), "{email}");
        }
        assert_eq!(refusal(last), (429, "too_many_attempts".to_owned(), None), "{email}");
        assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() <= 15);
    }
    // Nor does the right password, for as long.
    assert_eq!(attempt(&whole, "192.0.2.7", "ada@example.test", PASSWORD).status, 429);
}

#[test]
fn users_see_through_the_gate_who_tried_to_be_them() {
    let whole = Whole::start();
    whole.register("ada@example.test");
    assert_eq!(attempt(&whole, "192.0.2.66", "ada@example.test", "a guess").status, 401);
    let token = text(&whole.log_in("ada@example.test", PASSWORD), "access_token");
    let history = whole.gate.get_as(&token, "/auth/login-history").unwrap().json().unwrap();
    let items = history["items"].as_array().unwrap();
    let outcomes: Vec<_> = items.iter().map(|item| text(item, "outcome")).collect();
    assert_eq!(outcomes, ["success", "failure"]);
    assert_eq!(items[1]["reason"], "wrong_password");
    assert_ne!(items[1]["address"], "192.0.2.66", "as Envoy saw it, whatever the client says");
}
