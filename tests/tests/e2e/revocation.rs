//! Logged out means logged out: the gateway follows a feed, whatever the feed does.

use std::time::Duration;

use doorward_tests::build::trap;
use doorward_tests::http::raw::Connection;
use doorward_tests::parts::{FeedServer, Mood};
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::wait;
use serde_json::{Value, json};

use crate::support::followed::{Followed, following};
use crate::support::gateway::{FEED_TOKEN, Gateway, Listener, Plan, bearer, cluster, head};
use crate::support::settings::{claims, claims_with};
use crate::support::signer::Signer;
use crate::support::timed::timed;

const LIMIT: Duration = Duration::from_secs(20);
const POLLS: &str = "wasmcustom.doorward_revocation_polls.result";

type Verdict = (u16, String);

fn ask(connection: &mut Connection, token: &str) -> Verdict {
    let answer = connection.send(&head("GET /users/ada", &[&bearer(token)])).unwrap();
    (answer.status, if answer.status == 200 { String::new() } else { answer.reason() })
}

fn get(gateway: &Gateway, token: &str) -> Verdict {
    ask(&mut gateway.connect(), token)
}

/// Waits until this is what becomes of a token. What one worker has heard, and tells in a gauge, another one hears at its
/// next tick.
#[track_caller]
fn becomes(gateway: &Gateway, token: &str, verdict: &Verdict) {
    let mut last = None;
    let became = wait::until(LIMIT, || (last.insert(get(gateway, token)) == verdict).then_some(()));
    assert!(became.is_some(), "{last:?} instead of {verdict:?}");
}

fn revoked() -> Verdict {
    (401, "revoked".to_owned())
}

fn stale() -> Verdict {
    (503, "revocations_stale".to_owned())
}

fn passes() -> Verdict {
    (200, String::new())
}

#[test]
fn all_workers_hear_of_a_revoked_token_by_one_poll_that_waits_for_it() {
    let followed = Followed::start(4, json!({}));
    followed.wait_until_known(0);
    let token = followed.key.token(&claims("ada"));
    let other = followed.key.token(&claims_with("ada", json!({"sid": "another"})));
    // Enough for every worker to get some, and to have both tokens in its cache.
    let mut connections: Vec<Connection> = (0..24).map(|_| followed.gateway.connect()).collect();
    for connection in &mut connections {
        assert_eq!((ask(connection, &token), ask(connection, &other)), (passes(), passes()));
    }
    followed.feed.revoke([json!({"sid": "a-session"})]);
    let (all, took) = timed(|| {
        wait::until(LIMIT, || {
            connections.iter_mut().all(|connection| ask(connection, &token) == revoked()).then_some(())
        })
    });
    // Far less than a question waits for news. How soon it is in truth is for `cargo xtask bench revocation` to say.
    assert!(all.is_some() && took < Duration::from_secs(10), "{took:?}");
    assert!(connections.iter_mut().all(|connection| ask(connection, &other) == passes()));
    assert_eq!(followed.feed.most_waiting(), 1);
    let first = &followed.feed.asked()[0];
    assert_eq!((first.after, first.wait), (None, 0), "everything, at once");
}

#[test]
fn users_and_keys_are_revoked_too() {
    let followed = Followed::start(1, json!({}));
    followed.wait_until_known(0);
    let with_epoch = |epoch: u64| followed.key.token(&claims_with("ada", json!({"epoch": epoch})));
    let (old, new) = (with_epoch(4), with_epoch(5));
    followed.feed.revoke([json!({"sub": "ada", "epoch": 5})]);
    becomes(&followed.gateway, &old, &revoked());
    assert_eq!(get(&followed.gateway, &new), passes());
    followed.feed.revoke([json!({"kid": "k1"})]);
    becomes(&followed.gateway, &new, &revoked());
    assert_eq!(followed.gateway.send("GET /public", &[]).status, 200);
}

#[test]
fn nobody_passes_before_the_feed_was_heard_of() {
    let feed = FeedServer::start(FEED_TOKEN).unwrap();
    feed.mood(Mood::Silent);
    feed.revoke([json!({"sid": "dead"})]);
    let followed = Followed::start_at(feed, 1, json!({}), None);
    let token = followed.key.token(&claims("ada"));
    assert_eq!(get(&followed.gateway, &token), stale());
    followed.gateway.wait_for_stat("wasmcustom.doorward_held", 1);
    assert_eq!(followed.gateway.send("GET /public", &[]).status, 200);
    assert_eq!(followed.gateway.send("GET /users/ada", &[]).status, 401);

    // And who waits when it speaks is served.
    let dead = followed.key.token(&claims_with("ada", json!({"sid": "dead"})));
    let mut waiting = [&token, &dead].map(|token| {
        let mut connection = followed.gateway.connect();
        connection.write(&head("GET /users/ada", &[&bearer(token)])).unwrap();
        connection
    });
    followed.gateway.wait_for_stat("wasmcustom.doorward_held_now", 2);
    followed.feed.mood(Mood::Faithful);
    assert_eq!(waiting.each_mut().map(|connection| connection.answer().unwrap().status), [200, 401]);
    assert_eq!(followed.gateway.arrived(), ["/public", "/users/ada"]);
}

#[test]
fn a_feed_that_makes_no_sense_opens_nothing() {
    let page = |items: Value| json!({"next": 1, "more": false, "reset": true, "items": items}).to_string();
    let until = "2099-01-01T00:00:00Z";
    let huge: Vec<_> = (0..40_000).map(|n| json!({"sid": format!("{n:050}"), "until": until})).collect();
    let moods = [
        Mood::Status(500),
        Mood::Status(302),
        Mood::Status(204),
        Mood::Silent,
        Mood::Text(String::new()),
        Mood::Text("<html>Sorry!</html>".to_owned()),
        Mood::Text("{}".to_owned()),
        Mood::Text(page(json!([]))[..20].to_owned()),
        Mood::Text(page(json!([{"jti": "j", "until": until}]))),
        Mood::Text(page(json!([{"sid": "s", "until": 7}]))),
        Mood::Text(page(json!(huge))),
        // There is always more, and it leads nowhere.
        Mood::Text(json!({"next": 0, "more": true, "reset": true, "items": []}).to_string()),
    ];
    let key = Signer::es256("k1");
    let feeds: Vec<FeedServer> = moods
        .iter()
        .map(|mood| {
            let feed = FeedServer::start(FEED_TOKEN).unwrap();
            feed.mood(mood.clone());
            feed
        })
        .chain([FeedServer::start("another token").unwrap()])
        .collect();
    let names: Vec<String> = (0..feeds.len()).map(|number| format!("feed_{number}")).collect();
    let listeners = names.iter().map(|name| Listener::plugin(following(&key, name, json!({})))).collect();
    let clusters = names.iter().zip(&feeds).map(|(name, feed)| cluster(name, feed.port())).collect();
    let gateway = Gateway::start(Plan { listeners, clusters, concurrency: 1, module: None });
    let token = key.token(&claims("ada"));
    for round in 0..2 {
        for number in 0..feeds.len() {
            let mut connection = Connection::open(&gateway.address_of(number)).unwrap();
            assert_eq!(ask(&mut connection, &token), stale(), "round {round}: {:?}", moods.get(number));
        }
    }
    gateway.wait_for_stat(&format!("{POLLS}.failed"), 12);
    assert!(gateway.echo.all().is_empty());
    // Trying again has its limits.
    assert!(feeds.iter().all(|feed| feed.asked().len() < 60), "{:?}", feeds.iter().map(|f| f.asked().len()));
    assert!(!gateway.process.log_text().contains(FEED_TOKEN));
}

#[test]
fn silence_closes_the_door_after_max_stale_and_only_so_long() {
    let followed = Followed::start(1, json!({"max_stale": "4s"}));
    followed.feed.revoke([json!({"sid": "dead"})]);
    followed.wait_until_known(1);
    let good = followed.key.token(&claims("ada"));
    let dead = followed.key.token(&claims_with("ada", json!({"sid": "dead"})));
    becomes(&followed.gateway, &good, &passes());
    followed.feed.mood(Mood::Status(500));
    let (closed, took) =
        timed(|| wait::until(LIMIT, || (get(&followed.gateway, &good) == stale()).then_some(())));
    assert!(closed.is_some() && took < Duration::from_secs(15), "{took:?}");
    assert_eq!(get(&followed.gateway, &dead), revoked(), "what is known stays known");
    assert!(wait::until(LIMIT, || (followed.age() >= 4).then_some(())).is_some());
    followed.gateway.wait_for_stat(&format!("{POLLS}.failed"), 2);
    followed.feed.mood(Mood::Faithful);
    let opened = wait::until(LIMIT, || (get(&followed.gateway, &good) == passes()).then_some(()));
    assert!(opened.is_some());
    assert_eq!(get(&followed.gateway, &dead), revoked());
}

#[test]
fn who_prefers_open_doors_gets_them_for_all_but_the_known_dead() {
    let followed = Followed::start(1, json!({"max_stale": "4s", "when_stale": "allow"}));
    followed.feed.revoke([json!({"sid": "dead"})]);
    followed.wait_until_known(1);
    followed.feed.mood(Mood::Status(500));
    let old = wait::until(LIMIT, || (followed.age() >= 6).then_some(()));
    assert!(old.is_some(), "{}", followed.age());
    assert_eq!(get(&followed.gateway, &followed.key.token(&claims("ada"))), passes());
    assert_eq!(
        get(&followed.gateway, &followed.key.token(&claims_with("ada", json!({"sid": "dead"})))),
        revoked()
    );
    let stranger = Signer::es256("k1").token(&claims("ada"));
    assert_eq!(get(&followed.gateway, &stranger).0, 401, "and nothing else is waived");
}

#[test]
fn who_prefers_open_doors_does_not_wait_for_a_feed_that_never_speaks() {
    let feed = FeedServer::start(FEED_TOKEN).unwrap();
    feed.mood(Mood::Silent);
    let followed = Followed::start_at(feed, 1, json!({"when_stale": "allow"}), None);
    let token = followed.key.token(&claims("ada"));
    let at_once = || {
        let (answer, took) = timed(|| get(&followed.gateway, &token));
        assert_eq!(answer, passes());
        (took < Duration::from_millis(500)).then_some(())
    };
    assert!(wait::until(LIMIT, at_once).is_some());
    assert!(wait::until(LIMIT, || (0..5).all(|_| at_once().is_some()).then_some(())).is_some());
}

#[test]
fn a_list_that_begins_anew_replaces_the_old_one() {
    let followed = Followed::start(2, json!({}));
    followed.feed.revoke((0..9).map(|n| json!({"sid": format!("old-{n}")})));
    followed.wait_until_known(9);
    followed.feed.begin_anew();
    followed.feed.revoke([json!({"sid": "new"}), json!({"sid": "old-3"})]);
    followed.wait_until_known(2);
    let verdict = |session: &str| {
        let token = followed.key.token(&claims_with("ada", json!({"sid": session})));
        (0..8).map(|_| get(&followed.gateway, &token)).collect::<Vec<_>>()
    };
    for (session, wanted) in [("new", revoked()), ("old-3", revoked()), ("old-4", passes())] {
        let all = || (verdict(session) == vec![wanted.clone(); 8]).then_some(());
        assert!(wait::until(LIMIT, all).is_some(), "{session}");
    }
}

#[test]
fn a_long_list_comes_in_pages() {
    let feed = FeedServer::start(FEED_TOKEN).unwrap();
    feed.revoke((0..12_000).map(|n| json!({"sid": format!("{n}")})));
    let followed = Followed::start_at(feed, 2, json!({}), None);
    followed.wait_until_known(12_000);
    for session in ["0", "4999", "5000", "11999"] {
        let token = followed.key.token(&claims_with("ada", json!({"sid": session})));
        let all = || (0..6).all(|_| get(&followed.gateway, &token) == revoked()).then_some(());
        assert!(wait::until(LIMIT, all).is_some(), "{session}");
    }
    let token = followed.key.token(&claims_with("ada", json!({"sid": "12000"})));
    assert_eq!(get(&followed.gateway, &token), passes());
}

#[test]
fn a_crash_forgets_nothing_and_asks_for_nothing_twice() {
    let workdir = Workdir::new().unwrap();
    let module = trap::trapping(&Prepared::from_env().unwrap().programs.plugin_wasm, workdir.path()).unwrap();
    let feed = FeedServer::start(FEED_TOKEN).unwrap();
    feed.revoke([json!({"sid": "dead"})]);
    let followed = Followed::start_at(feed, 1, json!({}), Some(module));
    followed.wait_until_known(1);
    let good = followed.key.token(&claims("ada"));
    let dead = followed.key.token(&claims_with("ada", json!({"sid": "dead"})));
    becomes(&followed.gateway, &dead, &revoked());
    assert_eq!(get(&followed.gateway, &good), passes());

    let many: Vec<String> = (0..trap::HEADERS).map(|number| format!("x-{number}: a")).collect();
    let deadly = head("GET /public", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(followed.gateway.connect().send(&deadly).unwrap().status, 503);
    let opened = wait::until(LIMIT, || {
        let (status, reason) = get(&followed.gateway, &dead);
        assert!(status == 503 || reason == "revoked", "{status} {reason}");
        (get(&followed.gateway, &good) == passes()).then_some(())
    });
    assert!(opened.is_some());
    assert_eq!(get(&followed.gateway, &dead), revoked());
    // Somebody takes up the feed where the dead worker left it.
    followed.feed.revoke([json!({"sid": "a-session"})]);
    let heard = wait::until(LIMIT, || (get(&followed.gateway, &good) == revoked()).then_some(()));
    assert!(heard.is_some());
    assert_eq!(followed.feed.asked().iter().filter(|question| question.after.is_none()).count(), 1);
}
