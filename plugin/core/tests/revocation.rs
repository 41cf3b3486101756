//! Tokens that were withdrawn, cached or not, and what happens while nobody can say.

mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use doorward_gate::policy::WhenStale;
use doorward_gate::token::revocation::{Board, Page, Poll, Slot};
use doorward_gate::{Decision, Gate, Need, Reason, Waiting};
use serde_json::{Value, json};
use support::{NOW, claims, clock, config, gate_of, token};

#[derive(Default)]
struct Paper(RefCell<HashMap<Slot, Vec<u8>>>);

impl Board for &Paper {
    fn read(&self, slot: Slot) -> Option<Vec<u8>> {
        self.0.borrow().get(&slot).cloned()
    }

    fn write(&mut self, slot: Slot, value: &[u8]) {
        self.0.borrow_mut().insert(slot, value.to_vec());
    }
}

/// A gate, and the feed that it follows.
struct World {
    gate: Gate,
    paper: Paper,
    now: Duration,
}

impl World {
    fn new(when_stale: WhenStale) -> Self {
        let mut config = config();
        let when_stale = if when_stale == WhenStale::Allow { "allow" } else { "deny" };
        config["providers"][0]["revocation"] =
            json!({"cluster": "c", "path": "/r", "when_stale": when_stale});
        Self { gate: gate_of(config), paper: Paper::default(), now: Duration::from_secs(NOW) }
    }

    /// The feed says that these are dead, and that is all.
    fn hear(&mut self, items: Value) {
        for _ in 0..20 {
            self.now += Duration::from_millis(500);
            let feed = self.gate.feed(0).unwrap();
            let Some(Poll { number, .. }) = feed.tick(&mut &self.paper, self.now) else { continue };
            let page = json!({"next": self.now.as_secs(), "more": false, "reset": true, "items": items});
            feed.answered(
                number,
                Some(Page::parse(page.to_string().as_bytes()).unwrap()),
                &mut &self.paper,
                self.now,
            );
            return;
        }
        panic!("no question");
    }

    fn call(&mut self, claims: &Value, waiting: Waiting) -> Decision {
        let clock = clock();
        clock.0.set(self.now.as_secs());
        let bearer = format!("Bearer {}", token(claims));
        support::decide(&mut self.gate, &clock, "GET", "/users/u-1", &[("authorization", &bearer)], waiting)
    }

    fn reason(&mut self, claims: &Value) -> Option<Reason> {
        match self.call(claims, Waiting::Over) {
            Decision::Forward(..) => None,
            Decision::Refuse(refusal) => Some(refusal.reason),
            Decision::Hold(need) => panic!("{need:?}"),
        }
    }
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

const UNTIL: &str = "2033-01-01T00:00:00Z";

#[test]
fn a_token_dies_by_its_session_its_users_epoch_or_its_key() {
    let mut world = World::new(WhenStale::Deny);
    world.hear(json!([]));
    let (mine, other) = (with("sid", json!("mine")), with("sid", json!("other")));
    let older = with("epoch", json!(3));
    for claims in [&mine, &other, &older] {
        assert_eq!(world.reason(claims), None, "and now it is in the cache");
    }
    world.hear(json!([{"sid": "mine", "until": UNTIL}]));
    assert_eq!([&mine, &other].map(|claims| world.reason(claims)), [Some(Reason::Revoked), None]);
    let new = with("jti", json!("never seen"));
    assert_eq!(world.reason(&new), None);

    world.hear(json!([{"sub": "u-1", "epoch": 4, "until": UNTIL}]));
    assert_eq!(world.reason(&older), Some(Reason::Revoked));
    assert_eq!(world.reason(&with("epoch", json!(4))), None, "the new epoch is good");
    let mut without = claims();
    without.as_object_mut().unwrap().remove("epoch");
    assert_eq!(world.reason(&without), Some(Reason::Revoked), "no epoch is older than any");

    world.hear(json!([{"kid": "k1", "until": UNTIL}]));
    assert_eq!(world.reason(&with("epoch", json!(4))), Some(Reason::Revoked));
    world.hear(json!([{"kid": "another", "until": UNTIL}]));
    assert_eq!(world.reason(&with("epoch", json!(4))), None);
}

#[test]
fn before_anything_is_known_requests_wait_and_are_then_decided_as_configured() {
    for (when_stale, expected) in
        [(WhenStale::Deny, Some(Reason::RevocationsStale)), (WhenStale::Allow, None)]
    {
        let mut world = World::new(when_stale);
        for _ in 0..2 {
            assert!(matches!(world.call(&claims(), Waiting::Allowed), Decision::Hold(Need::Revocations(0))));
            assert_eq!(world.reason(&claims()), expected, "cached or not");
        }
        world.hear(json!([]));
        assert!(matches!(world.call(&claims(), Waiting::Allowed), Decision::Forward(..)));
    }
}

#[test]
fn old_knowledge_counts_as_configured_and_the_dead_stay_dead() {
    for (when_stale, expected) in
        [(WhenStale::Deny, Some(Reason::RevocationsStale)), (WhenStale::Allow, None)]
    {
        let mut world = World::new(when_stale);
        world.hear(json!([{"sid": "dead", "until": UNTIL}]));
        world.now += Duration::from_secs(59);
        assert_eq!(world.reason(&claims()), None);
        world.now += Duration::from_secs(2);
        assert_eq!(world.reason(&claims()), expected);
        assert_eq!(world.reason(&with("sid", json!("dead"))), Some(Reason::Revoked));
        assert!(
            !matches!(world.call(&claims(), Waiting::Allowed), Decision::Hold(_)),
            "that is nothing to wait for"
        );
    }
}

#[test]
fn a_bad_token_is_not_told_from_a_revoked_one_before_it_is_verified() {
    let mut world = World::new(WhenStale::Deny);
    world.hear(json!([{"sid": "dead", "until": UNTIL}]));
    assert_eq!(world.reason(&with("exp", json!(NOW - 60))), Some(Reason::Expired));
    let mut dead = with("sid", json!("dead"));
    dead["aud"] = json!("others");
    assert_eq!(world.reason(&dead), Some(Reason::WrongAudience));
}
