//! What the rest of the system hears, and when the broker is away.

/// Mails that another service sends.
mod mail_exchange;
/// Crashes, many of them, under load: no event lost, none invented.
mod proof;
/// `docs/events` and what is really published.
mod schemas;

use doorward_tests::parts::issuer::Events;
use doorward_tests::parts::{QueueKind, Rabbitmq};
use doorward_tests::process::Workdir;
use doorward_tests::stack::Behind;
use doorward_tests::wait;
use serde_json::json;

use crate::support::told::{SOON, Told, broker};
use crate::support::whole::Whole;

#[test]
fn what_happens_is_heard_in_its_order_by_everybody_who_listens() {
    let told = Told::start();
    let listener = told.listener();
    listener.bind("classic", QueueKind::Classic, &["user.#"]).unwrap();
    listener.bind("quorum", QueueKind::Quorum, &["#"]).unwrap();

    let ada = told.register("ada@example.test");
    let tokens = told.log_in("ada@example.test");
    let reply =
        told.client.post("/auth/logout", &json!({ "refresh_token": tokens["refresh_token"] })).unwrap();
    assert_eq!(reply.status, 204);

    for queue in ["classic", "quorum"] {
        for (sequence, kind) in [(1, "user.created"), (2, "user.login"), (3, "user.logout")] {
            let heard = listener.next(queue, SOON).unwrap();
            assert_eq!((heard.routing_key.as_str(), heard.exchange.as_str()), (kind, "auth.events"));
            assert_eq!(heard.content_type, "application/cloudevents+json");
            assert!(heard.persistent);
            let event = &heard.event;
            schemas::must_fit(event);
            assert_eq!((&event["type"], &event["subject"]), (&json!(kind), &json!(ada)));
            assert_eq!((&event["sequence"], &event["specversion"]), (&json!(sequence), &json!("1.0")));
            assert_eq!(
                (&event["id"], &event["source"]),
                (&json!(heard.message_id), &json!(told.issuer.url()))
            );
            assert!(!event.to_string().contains(tokens["refresh_token"].as_str().unwrap()));
        }
    }
    let status = told.until_status(|status| status["waiting"] == 0);
    assert_eq!((&status["unroutable"], &status["parked"]), (&json!(0), &json!(0)));
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_nobody_notices() {
    let mut told = Told::start();
    let listener = told.listener();
    listener.bind("users", QueueKind::Classic, &["user.created"]).unwrap();
    drop(listener);

    told.broker.stop();
    told.until_events_are("unavailable");
    let ada = told.register("ada@example.test");
    told.log_in("ada@example.test");
    told.broker.start_again().unwrap();
    told.until_events_are("ok");
    let listener = told.listener();
    assert_eq!(listener.next("users", SOON).unwrap().event["subject"], json!(ada));

    // A connection that is cut is made again.
    told.broker.control(&["close_all_connections", "cut by the test"]).unwrap();
    let bob = told.register("bob@example.test");
    let listener = told.listener();
    assert_eq!(listener.next("users", SOON).unwrap().event["subject"], json!(bob));
    told.until_status(|status| status["waiting"] == 0);
}

#[test]
fn a_broker_without_memory_is_waited_for() {
    let told = Told::start();
    let listener = told.listener();
    listener.bind("users", QueueKind::Classic, &["user.created"]).unwrap();
    told.broker.control(&["set_vm_memory_high_watermark", "0.0000001"]).unwrap();
    // The broker may let the first one pass.
    let users = ["ada@example.test", "bob@example.test"].map(|email| told.register(email));
    told.until_events_are("blocked");
    told.log_in("ada@example.test");
    assert_ne!(told.issuer.ask(&["outbox", "status"]).unwrap()["events"]["waiting"], json!(0));
    told.broker.control(&["set_vm_memory_high_watermark", "0.4"]).unwrap();
    told.until_events_are("ok");
    told.until_status(|status| status["waiting"] == 0);
    let heard = listener.drain("users").unwrap();
    let heard: Vec<_> = heard.values().map(|heard| heard.event["subject"].clone()).collect();
    assert_eq!(heard.len(), 2);
    assert!(users.iter().all(|user| heard.contains(&json!(user))), "{heard:?}");
}

#[test]
fn what_nobody_wants_is_put_aside_and_can_be_sent_again() {
    let told = Told::start_with(&["user.login"], Rabbitmq::url);
    told.register("ada@example.test");
    let status = told.until_status(|status| status["unroutable"] == 1);
    assert_eq!((&status["waiting"], &status["troubled"][0]["type"]), (&json!(0), &json!("user.created")));

    // Somebody must hear of logins: this one is tried again, and holds up what comes after it.
    told.log_in("ada@example.test");
    let status = told.until_status(|status| status["waiting"] == 1);
    assert_eq!(status["unroutable"], json!(1));
    let listener = told.listener();
    listener.bind("all", QueueKind::Classic, &["#"]).unwrap();
    let heard = listener.next("all", SOON).unwrap();
    assert_eq!(heard.routing_key, "user.login");

    let replayed = told.issuer.ask(&["outbox", "replay", "--state", "unroutable"]).unwrap();
    assert_eq!(replayed, json!({ "replayed": 1 }));
    let heard = listener.next("all", SOON).unwrap();
    assert_eq!((heard.routing_key.as_str(), &heard.event["sequence"]), ("user.created", &json!(1)));
    let status = told.until_status(|status| status["waiting"] == 0);
    assert_eq!(status["unroutable"], json!(0));
}

#[test]
fn the_broker_is_reached_with_tls_and_must_show_its_certificate() {
    let told = Told::start_with(&[], Rabbitmq::tls_url);
    let listener = told.listener();
    listener.bind("users", QueueKind::Classic, &["user.created"]).unwrap();
    let ada = told.register("ada@example.test");
    assert_eq!(listener.next("users", SOON).unwrap().event["subject"], json!(ada));

    // Without the authority nobody is trusted.
    let url = told.broker.tls_url();
    let (strangers, _) = url.split_once('?').unwrap();
    let whole = Whole::start_with(|plan| {
        let events = Some(Events { url: strangers.to_owned(), required: Vec::new() });
        doorward_tests::stack::Plan { events, ..plan }
    });
    whole.register("bob@example.test");
    let health = whole.stack.issuer.ask(&["outbox", "status"]).unwrap();
    assert_eq!(health["events"]["waiting"], json!(1));
}

#[test]
fn who_registers_has_a_profile_moments_later() {
    let workdir = Workdir::new().unwrap();
    let broker = broker(&workdir);
    let whole = Whole::start_with(|plan| {
        let events = Some(Events { url: broker.url(), required: Vec::new() });
        doorward_tests::stack::Plan { behind: Behind::UserService, events, ..plan }
    });
    let ada = whole.user("ada@example.test");
    let path = format!("/users/{}", ada.id);
    let profile = wait::until(SOON, || {
        let reply = whole.gate.get_as(&ada.token, &path).unwrap();
        (reply.status == 200).then(|| reply.json().unwrap())
    });
    let profile = profile.expect("the profile appears");
    assert_eq!((&profile["id"], &profile["email"]), (&json!(ada.id), &json!("ada@example.test")));
}
