use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const RULES: RingRules = RingRules {
    signing: Some(SigningAlgorithm::Es256),
    rotate_every: Duration::from_secs(30 * 24 * 60 * 60),
    session: Duration::from_secs(10 * 24 * 60 * 60),
};

fn start() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

fn at(minutes: u32) -> Timestamp {
    later(start(), MINUTE * minutes)
}

fn key(new: NewKey, made: Timestamp) -> KeyEntry {
    let NewKey { kind, number, active_from } = new;
    let id = KeyId::new(format!("{} {number}", kind.as_str()));
    KeyEntry { id, kind, number, created_at: made, active_from, revoked: false }
}

#[test]
fn an_empty_ring_lacks_one_key_for_each_purpose_at_once() {
    let lacking = RULES.lacking(&[], start());
    let purposes: Vec<_> = lacking.iter().map(|new| new.kind.purpose()).collect();
    assert_eq!(purposes, KeyPurpose::ALL);
    assert!(lacking.iter().all(|new| new.active_from == start() && new.number == 1));
    let shared = RingRules { signing: None, ..RULES };
    assert_eq!(shared.lacking(&[], start()).len(), 3);
}

#[test]
fn keys_that_begin_in_the_same_moment_have_an_order() {
    let new = NewKey { kind: KeyKind::Pepper, number: 1, active_from: start() };
    let (a, b) = (key(new, start()), KeyEntry { id: KeyId::new("z"), ..key(new, start()) });
    for entries in [[a.clone(), b.clone()], [b.clone(), a.clone()]] {
        let stages = RULES.stages(&entries, start());
        let active: Vec<_> =
            entries.iter().zip(stages).filter(|(_, stage)| *stage == Stage::Active).collect();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].0.id, b.id);
    }
}

#[test]
fn every_purpose_keeps_its_old_keys_as_long_as_they_are_needed() {
    for (purpose, kept) in [
        (KeyPurpose::Signing, Some(61 * MINUTE)),
        (KeyPurpose::Refresh, Some(RULES.session + MINUTE)),
        (KeyPurpose::Mail, Some(7 * DAY)),
        (KeyPurpose::Pepper, None),
    ] {
        let first = RULES.lacking(&[], start()).into_iter().find(|new| new.kind.purpose() == purpose);
        let first = key(first.unwrap(), start());
        let next = key(RULES.successor(purpose, std::slice::from_ref(&first), start()).unwrap(), start());
        let entries = [first, next.clone()];
        let until = kept.map(|kept| later(next.active_from, kept));
        assert_eq!(RULES.stages(&entries, next.active_from), [Stage::Retired { until }, Stage::Active]);
        if let Some(until) = until {
            assert_eq!(RULES.stages(&entries, until)[0], Stage::Expired);
        }
    }
}

/// What may happen to a ring.
#[derive(Clone, Debug)]
enum Act {
    Wait(u32),
    Rotate,
    RevokeActive,
    RevokeOther(usize),
    /// A replica looks after the ring, as each does all the time.
    Tend,
    /// A replica starts with another algorithm in its configuration.
    Restart(SigningAlgorithm),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..90_u32).prop_map(Act::Wait),
        1 => (40_000..45_000_u32).prop_map(Act::Wait),
        3 => Just(Act::Rotate),
        1 => Just(Act::RevokeActive),
        1 => any::<usize>().prop_map(Act::RevokeOther),
        3 => Just(Act::Tend),
        1 => prop_oneof![
            Just(SigningAlgorithm::Es256), Just(SigningAlgorithm::EdDsa)
        ].prop_map(Act::Restart),
    ]
}

/// One ring, and what its signing keys were seen to do.
struct World {
    rules: RingRules,
    entries: Vec<KeyEntry>,
    minutes: u32,
    /// Tokens that have not expired: the key that signed, and when.
    tokens: Vec<(KeyId, u32)>,
}

impl World {
    fn new() -> Self {
        let lacking = RULES.lacking(&[], start());
        let entries = lacking.into_iter().map(|new| key(new, start())).collect();
        Self { rules: RULES, entries, minutes: 0, tokens: Vec::new() }
    }

    fn now(&self) -> Timestamp {
        at(self.minutes)
    }

    fn make(&mut self, new: impl IntoIterator<Item = NewKey>) {
        let now = self.now();
        self.entries.extend(new.into_iter().map(|new| key(new, now)));
    }

    fn active(&self) -> KeyEntry {
        let stages = self.rules.stages(&self.entries, self.now());
        let mut active =
            self.entries.iter().zip(stages).filter(|(entry, stage)| {
                entry.kind.purpose() == KeyPurpose::Signing && *stage == Stage::Active
            });
        let (only, _) = active.next().expect("somebody always signs");
        assert!(active.next().is_none(), "and nobody else");
        only.clone()
    }

    fn act(&mut self, act: &Act) {
        let now = self.now();
        match act {
            // A token in every minute of a short time.
            Act::Wait(minutes @ 0..100) => {
                for _ in 0..*minutes {
                    self.minutes += 1;
                    self.check();
                }
            }
            Act::Wait(minutes) => self.minutes += minutes,
            Act::Rotate => {
                let stages = self.rules.stages(&self.entries, now);
                let waits = self.entries.iter().zip(stages).any(|(entry, stage)| {
                    entry.kind.purpose() == KeyPurpose::Signing && stage == Stage::Next
                });
                if !waits {
                    self.make(self.rules.successor(KeyPurpose::Signing, &self.entries, now));
                }
            }
            Act::RevokeActive => self.revoke(&self.active().id),
            Act::RevokeOther(index) => {
                let signing: Vec<_> =
                    self.entries.iter().filter(|entry| entry.kind.purpose() == KeyPurpose::Signing).collect();
                let id = signing[index % signing.len()].id.clone();
                if id == self.active().id { self.revoke(&id) } else { self.strike(&id) }
            }
            Act::Tend => {
                self.make(self.rules.due(&self.entries, now));
                let expired = self.rules.expired(&self.entries, now);
                self.entries.retain(|entry| !expired.contains(&entry.id));
            }
            Act::Restart(algorithm) => {
                self.rules.signing = Some(*algorithm);
                self.make(self.rules.lacking(&self.entries, now));
            }
        }
    }

    /// As the command does it: a replacement in the same write.
    fn revoke(&mut self, id: &KeyId) {
        let entry = self.entries.iter().find(|entry| entry.id == *id).unwrap().clone();
        self.make([self.rules.replacement(&entry, &self.entries, self.now())]);
        self.strike(id);
    }

    fn strike(&mut self, id: &KeyId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == *id) {
            entry.revoked = true;
        }
        self.tokens.retain(|(key, _)| key != id);
    }

    fn check(&mut self) {
        let active = self.active();
        let known_since = active.active_from.duration_since(active.created_at);
        let at_once = active.active_from == active.created_at;
        assert!(at_once || known_since.as_secs() >= 360, "published before it signs: {active:?}");
        self.tokens.push((active.id, self.minutes));
        let minutes = self.minutes;
        self.tokens.retain(|(_, signed)| signed + 60 > minutes);
        let stages = self.rules.stages(&self.entries, self.now());
        for (key, signed) in &self.tokens {
            let trusted =
                self.entries.iter().zip(&stages).any(|(e, stage)| e.id == *key && stage.is_trusted());
            assert!(trusted, "the token of minute {signed} by {key} has not expired at {minutes}");
        }
        let mut names: Vec<_> =
            self.entries.iter().map(|entry| (entry.kind.as_str(), entry.number)).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "no number twice");
    }
}

proptest! {
    #[test]
    fn whatever_happens_somebody_signs_and_every_good_token_is_trusted(acts in prop::collection::vec(act(), 1..25)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
            world.check();
        }
    }

    #[test]
    fn a_ring_that_is_tended_stays_small(waits in prop::collection::vec(0..3000_u32, 1..200)) {
        let mut world = World::new();
        for wait in waits {
            for act in [Act::Wait(wait), Act::Tend, Act::Rotate] {
                world.act(&act);
                world.check();
            }
            prop_assert!(world.entries.len() < 60, "{}", world.entries.len());
        }
    }
}
