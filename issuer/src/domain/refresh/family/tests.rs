use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::context::RequestContext;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::SessionLimits;
use crate::domain::token::RefreshToken;

const IDLE: u64 = 1000;
const WHOLE: u64 = 5000;

/// The token number `n` of a family stands for itself.
fn token(n: usize) -> MintedRefreshToken {
    MintedRefreshToken { token: RefreshToken::new(n.to_string()), fingerprint: fingerprint(n) }
}

fn fingerprint(n: usize) -> TokenFingerprint {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TokenFingerprint(bytes)
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_second(second.try_into().unwrap()).unwrap()
}

fn opened() -> Session {
    let limits = SessionLimits { idle: Duration::from_secs(IDLE), whole: Duration::from_secs(WHOLE) };
    let owner = (UserId::from(Uuid::nil()), 0);
    let id = SessionId::from(Uuid::nil());
    Session::open(id, owner, fingerprint(0), limits, at(0), &RequestContext::default())
}

fn judged(family: &Session, n: usize, now: u64) -> Judgement {
    let issued = Some(token(n + 1)).filter(|child| child.fingerprint == family.refresh_fingerprint);
    judge(family, fingerprint(n), issued, at(now))
}

/// What a client sees.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Token(usize),
    Refused,
}

/// A family in a store: the machine under test, and the one conditional write.
struct Machine(Option<Session>);

impl Machine {
    fn present(&mut self, n: usize, now: u64) -> Seen {
        let Some(family) = &self.0 else { return Seen::Refused };
        match judged(family, n, now) {
            Judgement::Exchange => {
                let child = token(n + 1).fingerprint;
                self.0 = Some(family.exchanged(child, Duration::from_secs(IDLE), at(now)));
                Seen::Token(n + 1)
            }
            Judgement::Repeat(child) => Seen::Token(child.token.expose().parse().unwrap()),
            Judgement::Reuse => {
                self.0 = None;
                Seen::Refused
            }
            Judgement::RunOut => Seen::Refused,
        }
    }
}

/// The rules as a client author reads them, with a memory of every use instead of a generation.
struct Model {
    /// When each token was first exchanged; one entry for every token that was ever handed out.
    exchanged: Vec<Option<u64>>,
    last_use: u64,
    alive: bool,
}

impl Model {
    fn present(&mut self, n: usize, now: u64) -> Seen {
        if !self.alive || now >= self.last_use + IDLE || now >= WHOLE {
            return Seen::Refused;
        }
        match (self.exchanged[n], self.exchanged.get(n + 1)) {
            (None, _) => {
                self.exchanged[n] = Some(now);
                self.exchanged.push(None);
                self.last_use = now;
                Seen::Token(n + 1)
            }
            (Some(first), Some(None)) if now - first < REPEAT_WINDOW.as_secs() => Seen::Token(n + 1),
            _ => {
                self.alive = false;
                Seen::Refused
            }
        }
    }
}

/// Presents the token that many generations before the newest, after that many seconds.
fn steps() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let back = prop_oneof![6 => Just(0_usize), 4 => Just(1), 1 => 2..5_usize];
    let pause = prop_oneof![4 => 0..15_u64, 2 => 25..35_u64, 1 => 900..1100_u64];
    prop::collection::vec((back, pause), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_machine_does_what_the_model_says(steps in steps()) {
        let mut machine = Machine(Some(opened()));
        let mut model = Model { exchanged: vec![None], last_use: 0, alive: true };
        let mut now = 0;
        for (back, pause) in steps {
            now += pause;
            let n = model.exchanged.len().saturating_sub(1 + back);
            prop_assert_eq!(machine.present(n, now), model.present(n, now), "token {} at {}", n, now);
            if let Some(family) = &machine.0 {
                prop_assert_eq!(family.generation as usize + 1, model.exchanged.len());
            }
        }
    }

    /// Every request reads, and writes later, if nobody else wrote in between; in whatever order they come.
    #[test]
    fn however_requests_interleave_a_parent_has_one_child(turns in prop::collection::vec(0..8_usize, 1..200)) {
        let mut stored = opened();
        let mut read: Vec<Option<Session>> = vec![None; 8];
        let mut seen = Vec::new();
        for request in turns {
            match read[request].take() {
                None => read[request] = Some(stored.clone()),
                Some(family) => match judged(&family, 0, 1) {
                    Judgement::Exchange if family.refresh_fingerprint == stored.refresh_fingerprint => {
                        stored = family.exchanged(fingerprint(1), Duration::from_secs(IDLE), at(1));
                        seen.push("1".to_owned());
                    }
                    Judgement::Exchange => {}
                    Judgement::Repeat(child) => seen.push(child.token.expose().to_owned()),
                    Judgement::Reuse | Judgement::RunOut => prop_assert!(false, "nobody did anything wrong"),
                },
            }
        }
        prop_assert!(stored.generation <= 1);
        prop_assert!(seen.iter().all(|child| child == "1"), "{:?}", seen);
    }
}

#[test]
fn the_window_closes_to_the_second() {
    let family = opened().exchanged(fingerprint(1), Duration::from_secs(IDLE), at(100));
    assert!(matches!(judged(&family, 0, 129), Judgement::Repeat(_)));
    assert!(matches!(judged(&family, 0, 130), Judgement::Reuse));
    // A replica whose clock is behind sees the future.
    assert!(matches!(judged(&family, 0, 90), Judgement::Repeat(_)));
}

#[test]
fn the_window_closes_when_the_child_is_used() {
    let family = opened().exchanged(fingerprint(1), Duration::from_secs(IDLE), at(1));
    let family = family.exchanged(fingerprint(2), Duration::from_secs(IDLE), at(2));
    assert!(matches!(judged(&family, 0, 3), Judgement::Reuse));
    assert!(matches!(judged(&family, 1, 3), Judgement::Repeat(_)));
}

#[test]
fn what_nobody_can_have_yet_ends_the_family_too() {
    assert!(matches!(judged(&opened(), 1, 1), Judgement::Reuse), "the store was put back from a backup");
}

#[test]
fn an_exchange_never_moves_the_end_of_the_whole_life() {
    let family = opened().exchanged(fingerprint(1), Duration::from_secs(IDLE), at(4500));
    assert_eq!((family.expires_at, family.ends_at), (at(WHOLE), at(WHOLE)));
    assert!(matches!(judged(&family, 1, WHOLE), Judgement::RunOut));
    assert_eq!(family.created_at, at(0));
}
