use proptest::prelude::*;

use super::*;

const PAIR: Rule =
    Rule::Slowing { free: 5, wait: seconds(15), longest: seconds(900), memory: seconds(86_400) };
const ACCOUNT: Rule = Rule::Cap { most: 100, window: seconds(3600), spares_familiar: true };
const ADDRESS: Rule = Rule::Cap { most: 300, window: seconds(600), spares_familiar: false };

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, seconds(1_000_000 + second))
}

/// A counter alone, tried at these moments: how long each had to wait, zero for those who passed.
fn waits(rule: Rule, tries: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut tally = Tally::NONE;
    let mut try_at = |second| match judge(&[(rule, tally)], at(second)) {
        Admission::Admitted(tallies) => {
            tally = tallies[0];
            0
        }
        Admission::Refused { wait } => wait.as_secs(),
    };
    tries.into_iter().map(&mut try_at).collect()
}

#[test]
fn five_are_free_and_then_the_wait_doubles() {
    assert_eq!(waits(PAIR, [0; 7]), [0, 0, 0, 0, 0, 15, 15]);
    let mut waited = Vec::new();
    let (mut tally, mut now) = (Tally::NONE, 0);
    for _ in 0..14 {
        match judge(&[(PAIR, tally)], at(now)) {
            Admission::Admitted(tallies) => tally = tallies[0],
            Admission::Refused { .. } => panic!("waited long enough"),
        }
        if let Admission::Refused { wait } = judge(&[(PAIR, tally)], at(now)) {
            waited.push(wait.as_secs());
            now += wait.as_secs();
        }
    }
    assert_eq!(waited, [15, 30, 60, 120, 240, 480, 900, 900, 900, 900]);
    assert_eq!(waits(PAIR, [0, 0, 0, 0, 0, 86_400, 86_400]), [0; 7], "a day later all is forgotten");
}

#[test]
fn who_asked_first_and_is_counted_second_is_not_slowed_down() {
    assert_eq!(waits(PAIR, [4, 3, 2, 1, 0, 0]), [0, 0, 0, 0, 0, 15]);
}

#[test]
fn a_full_window_closes_the_door_for_as_long() {
    let tries = std::iter::repeat_n(0, 99).chain([3000, 3001, 6599, 6600]);
    assert_eq!(waits(ACCOUNT, tries).split_off(99), [0, 3599, 1, 0]);
    // Too few in time: the next window begins with the first attempt after it.
    let tries = std::iter::repeat_n(0, 99).chain(std::iter::repeat_n(3600, 100)).chain([3600]);
    assert_eq!(waits(ACCOUNT, tries).pop(), Some(3600));
}

#[test]
fn who_was_let_in_before_is_not_locked_out_by_others() {
    let full = Tally { count: 100, closed_until: at(60), forgotten_at: at(60), ..Tally::NONE };
    let stranger = [(PAIR, Tally::NONE), (ACCOUNT, full), (ADDRESS, Tally::NONE)];
    assert_eq!(judge(&stranger, at(0)), Admission::Refused { wait: seconds(60) });
    let familiar = Tally { familiar_until: at(1), ..Tally::NONE };
    let owner = [(PAIR, familiar), (ACCOUNT, full), (ADDRESS, Tally::NONE)];
    assert!(matches!(judge(&owner, at(0)), Admission::Admitted(_)));
    assert!(matches!(judge(&owner, at(1)), Admission::Refused { .. }), "not for ever");
    // Neither his own mistakes nor his address are spared.
    let slow = PAIR.counted(Tally { count: 7, forgotten_at: at(9), ..familiar }, at(0));
    assert!(matches!(judge(&[(PAIR, slow), (ACCOUNT, full)], at(0)), Admission::Refused { .. }));
    let crowded = [(PAIR, familiar), (ADDRESS, full)];
    assert!(matches!(judge(&crowded, at(0)), Admission::Refused { .. }));
}

#[test]
fn the_right_password_starts_its_own_place_afresh_and_no_other() {
    let known = |count| Tally { count, closed_until: at(900), forgotten_at: at(900), ..Tally::NONE };
    let pair = PAIR.proven(known(9), at(0), seconds(100));
    assert_eq!(pair, Tally { familiar_until: at(100), ..Tally::NONE });
    assert_eq!(ADDRESS.proven(known(9), at(0), seconds(100)).count, 8);
    let reopened = ACCOUNT.proven(known(100), at(0), seconds(100));
    assert_eq!((reopened.count, reopened.closed_for(at(0))), (99, Duration::ZERO));
    let still_closed = ACCOUNT.proven(known(102), at(0), seconds(100));
    assert_eq!((still_closed.count, still_closed.closed_for(at(0))), (101, seconds(900)));
}

fn rules() -> impl Strategy<Value = Rule> {
    let times = (1..20_u64, 1..200_u64, 0..400_u64);
    let slowing = (1..8_u32, times).prop_map(|(free, (wait, longest, more))| Rule::Slowing {
        free,
        wait: seconds(wait),
        longest: seconds(longest),
        memory: seconds(longest + more),
    });
    let cap = (1..8_u32, 1..100_u64).prop_map(|(most, window)| Rule::Cap {
        most,
        window: seconds(window),
        spares_familiar: false,
    });
    prop_oneof![slowing, cap]
}

proptest! {
    /// Whenever they are made: no more pass in any window than the rule says.
    #[test]
    fn no_window_has_more_than_its_share(rule in rules(), steps in prop::collection::vec(0..30_u64, 1..200)) {
        let moments: Vec<u64> =
            steps.iter().scan(0, |now, step| { *now += step; Some(*now) }).collect();
        let waits = waits(rule, moments.iter().copied());
        let passed: Vec<u64> =
            moments.iter().zip(&waits).filter(|(_, wait)| **wait == 0).map(|(moment, _)| *moment).collect();
        match rule {
            // A window that is not full is forgotten at its end, so two halves may touch; never more than that.
            Rule::Cap { most, window, .. } => for (first, moment) in passed.iter().enumerate() {
                let end = moment + window.as_secs();
                let inside = passed[first..].iter().take_while(|moment| **moment < end).count();
                prop_assert!(inside < 2 * most as usize, "{inside} of {most} in {window:?}");
            },
            // Between two that pass without having been forgotten lies the wait that the first of them left behind.
            Rule::Slowing { free, longest, memory, .. } => for pair in passed.windows(free as usize + 1) {
                let apart = pair[free as usize] - pair[0];
                prop_assert!(apart > 0 || memory.is_zero(), "{} at once", free + 1);
                let least = rule.wait_after(free).unwrap_or_default();
                prop_assert!(least > longest || apart >= least.as_secs());
            },
        }
    }

    /// A refusal names the moment from which the same attempt passes, and not a second earlier.
    #[test]
    fn a_wait_is_exact(rule in rules(), steps in prop::collection::vec(0..20_u64, 1..60)) {
        let (mut tally, mut now) = (Tally::NONE, 0);
        for step in steps {
            now += step;
            match judge(&[(rule, tally)], at(now)) {
                Admission::Admitted(tallies) => tally = tallies[0],
                Admission::Refused { wait } => {
                    let wait = wait.as_secs();
                    let just_before = judge(&[(rule, tally)], at(now + wait - 1));
                    prop_assert_eq!(just_before, Admission::Refused { wait: seconds(1) });
                    let then = judge(&[(rule, tally)], at(now + wait));
                    prop_assert!(matches!(then, Admission::Admitted(_)));
                }
            }
        }
    }

    /// Giving back what was just admitted leaves the door as open as it was.
    #[test]
    fn what_is_given_back_never_happened(rule in rules(), earlier in 0..9_u32) {
        let mut tally = Tally::NONE;
        for _ in 0..earlier {
            if let Admission::Admitted(tallies) = judge(&[(rule, tally)], at(0)) {
                tally = tallies[0];
            }
        }
        if let Admission::Admitted(tallies) = judge(&[(rule, tally)], at(0)) {
            let back = rule.given_back(tallies[0], at(0));
            prop_assert_eq!(back.count, tally.count);
            prop_assert!(matches!(judge(&[(rule, back)], at(0)), Admission::Admitted(_)));
        }
    }

    #[test]
    fn a_door_never_stays_closed_longer_than_the_rule_says(rule in rules(), count in 0..u32::MAX) {
        let longest = match rule { Rule::Slowing { longest, .. } => longest, Rule::Cap { window, .. } => window };
        let tally = rule.counted(Tally { count, forgotten_at: at(1), ..Tally::NONE }, at(0));
        prop_assert!(tally.closed_for(at(0)) <= longest);
    }
}
