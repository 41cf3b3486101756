use std::time::Duration;

use doorward_issuer::domain::attempts::{Admission, Counter, CounterKey, Rule, Tally, judge};
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later, random_bytes};
use doorward_issuer::domain::event::Event;
use doorward_issuer::domain::ports::{Attempts as _, Outbox as _, Store, Users as _};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::fixture::{Fixture, account, quiet};

const PAIR: Rule =
    Rule::Slowing { free: 5, wait: seconds(15), longest: seconds(900), memory: seconds(86_400) };
const FAMILIAR: Duration = seconds(1000);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn cap(most: u32, spares_familiar: bool) -> Rule {
    Rule::Cap { most, window: seconds(600), spares_familiar }
}

fn key() -> CounterKey {
    CounterKey(random_bytes(&SystemRandom))
}

fn counter(rule: Rule) -> Counter {
    Counter { key: key(), account: None, rule }
}

pub(crate) async fn what_the_store_admits_is_what_the_rule_says<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    let counters = [counter(PAIR), counter(cap(9, false)), counter(cap(7, true))];
    let mut tallies = [Tally::NONE; 3];
    let mut now = SystemClock.now();
    for step in 0..60_u64 {
        let with_rules: Vec<_> = counters.iter().map(|counter| counter.rule).zip(tallies).collect();
        let expected = judge(&with_rules, now);
        // On another replica every time.
        let store = &stores[usize::try_from(step % 2).unwrap()];
        assert_eq!(store.admit(&counters, now).await.unwrap(), expected, "step {step}");
        if let Admission::Admitted(counted) = &expected {
            tallies.copy_from_slice(counted);
        }
        match step {
            3 => {
                store.give_back(&counters, now).await.unwrap();
                for (counter, tally) in counters.iter().zip(&mut tallies) {
                    *tally = counter.rule.given_back(*tally, now);
                }
            }
            20 | 45 => {
                store.proven(&counters, now, FAMILIAR).await.unwrap();
                for (counter, tally) in counters.iter().zip(&mut tallies) {
                    *tally = counter.rule.proven(*tally, now, FAMILIAR);
                }
            }
            _ => {}
        }
        now = later(now, seconds(step % 7 * 9));
    }
}

/// Of 64 at once, from two replicas, exactly as many pass as one after the other.
pub(crate) async fn of_many_at_once_no_more_pass_than_allowed<F: Fixture>() {
    let fixture = F::start().await;
    let stores = [fixture.open().await, fixture.open().await];
    for (rules, passing) in [
        ([PAIR, cap(300, false), cap(100, true)], 5),
        ([counterless(), cap(300, false), cap(7, true)], 7),
        ([counterless(), cap(3, false), cap(100, true)], 3),
    ] {
        let counters = rules.map(counter);
        let now = SystemClock.now();
        let all = (0..64).map(|n| stores[n % 2].admit(&counters, now));
        let admitted: Vec<_> = join_all(all).await.into_iter().map(Result::unwrap).collect();
        let passed = admitted.iter().filter(|admission| matches!(admission, Admission::Admitted(_))).count();
        assert_eq!(passed, passing, "{rules:?}");
        // Everyone who passed has a number of his own, and none of those who did not is left in the counts.
        let mut numbers: Vec<u32> = admitted
            .iter()
            .filter_map(|admission| match admission {
                Admission::Admitted(tallies) => tallies.last().map(|tally| tally.count),
                Admission::Refused { .. } => None,
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=u32::try_from(passing).unwrap()).collect::<Vec<_>>());
    }
}

/// A rule that never has anything against it.
fn counterless() -> Rule {
    cap(1_000_000, false)
}

pub(crate) async fn of_many_given_back_at_once_none_is_lost<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let counters = [counter(cap(20, false))];
    let now = SystemClock.now();
    join_all((0..20).map(|_| store.admit(&counters, now))).await;
    assert!(is_refused(&store, &counters, now).await);
    for outcome in join_all((0..20).map(|_| store.give_back(&counters, now))).await {
        outcome.unwrap();
    }
    let Admission::Admitted(tallies) = store.admit(&counters, now).await.unwrap() else {
        panic!("all were given back")
    };
    assert_eq!(tallies[0].count, 1);
}

pub(crate) async fn an_administrator_opens_one_account_and_says_so_once<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let user = account();
    store.insert(&user, &quiet()).await.unwrap();
    let (his, other) = (key(), key());
    let of = |account| {
        [
            Counter { key: key(), account: Some(account), rule: PAIR },
            Counter { key: account, account: Some(account), rule: cap(2, true) },
        ]
    };
    let (his_counters, other_counters) = (of(his), of(other));
    let now = SystemClock.now();
    for counters in [&his_counters, &other_counters] {
        for _ in 0..2 {
            let _counted = store.admit(counters, now).await.unwrap();
        }
        assert!(is_refused(&store, counters, now).await);
    }
    for _ in 0..2 {
        let report = quiet().tell(Event::UserUnlocked);
        store.unlock(&[his, key()], user.user.id, &report).await.unwrap();
    }
    let told: Vec<_> = store.of_user(user.user.id).await.unwrap();
    assert_eq!(told.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["user.unlocked"]);
    assert!(!is_refused(&store, &his_counters, now).await);
    assert!(is_refused(&store, &other_counters, now).await);
}

async fn is_refused(store: &impl Store, counters: &[Counter], now: Timestamp) -> bool {
    matches!(store.admit(counters, now).await.unwrap(), Admission::Refused { .. })
}
