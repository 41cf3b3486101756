//! The list of dead tokens, behind the management token.

use std::time::Duration;

use doorward_tests::parts::{FeedServer, Mood};
use doorward_tests::wait;
use serde_json::json;

use crate::support::example::{Example, Keys};
use crate::support::gateway::FEED_TOKEN;
use crate::support::settings::claims_with;
use crate::support::signer::Signer;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn who_is_on_the_list_is_out_and_without_the_list_so_is_everybody() {
    let (key, feed) = (Signer::es256("k1"), FeedServer::start(FEED_TOKEN).unwrap());
    let keys = Keys::IssuerWithList(&key, &feed);
    // As shipped, but for a minute nobody here wants to wait.
    let example = Example::start_edited("logout.yaml", &keys, &[("max_stale: 60s", "max_stale: 4s")]);
    let session = |sid: &str| key.token(&claims_with("ada", json!({"sid": sid})));
    let (here, there) = (session("here"), session("there"));
    example.decides(&here, &[("GET /users/ada", 200, ""), ("GET /users/bob", 403, "rule_denied")]);

    feed.revoke([json!({"sid": "here"})]);
    let becomes = |token: &str, status: u16, reason: &str| {
        let answer = || {
            let reply = example.send_as(token, "GET /users/ada");
            (reply.status == status && reply.reason() == reason).then_some(())
        };
        assert!(wait::until(LIMIT, answer).is_some(), "never {status} {reason}");
    };
    becomes(&here, 401, "revoked");
    becomes(&there, 200, "");

    feed.mood(Mood::Status(401));
    becomes(&there, 503, "revocations_stale");
    example.decides(&here, &[("GET /users/ada", 401, "revoked")]);
    feed.mood(Mood::Faithful);
    becomes(&there, 200, "");
}
