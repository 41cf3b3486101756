use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// One of the states that an entry can be in when a claim reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Mine,
    Others,
    DueLater,
    Parked,
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![3 => Just(Seen::Mine), 1 => Just(Seen::Others), 1 => Just(Seen::DueLater), 1 => Just(Seen::Parked)]
}

fn claim(channel: Channel) -> Claim {
    Claim { id: Uuid::from_u128(1), channel, now: NOW, until: later(NOW, KEPT_DONE), limit: 100 }
}

fn stored(channel: Channel, users: &[Vec<Seen>]) -> Vec<Stored> {
    let mut all = Vec::new();
    for (user, entries) in users.iter().enumerate() {
        for (sequence, seen) in (1..).zip(entries) {
            let entry = OutboxEntry {
                id: Uuid::from_u128(1000 * user as u128 + u128::from(sequence)),
                channel,
                user: UserId::from(Uuid::from_u128(user as u128)),
                sequence,
                kind: "user.updated".to_owned(),
                at: NOW,
                request_id: String::new(),
                data: "{}".to_owned(),
                attempts: 0,
            };
            let (state, due, claim) = match seen {
                Seen::Mine => (EntryState::Waiting, later(NOW, KEPT_DONE), Some(Uuid::from_u128(1))),
                Seen::Others => (EntryState::Waiting, later(NOW, KEPT_DONE), Some(Uuid::from_u128(2))),
                Seen::DueLater => (EntryState::Waiting, later(NOW, PARKED_PAUSE), None),
                Seen::Parked => (EntryState::Parked, NOW, None),
            };
            all.push(Stored { entry, state, due, claim });
        }
    }
    all
}

proptest! {
    /// Of each user's events a claim sends the first ones, without a gap; the rest of what it covers is held up.
    #[test]
    fn nobody_overtakes(users in prop::collection::vec(prop::collection::vec(seen(), 0..8), 0..5)) {
        let claimed = Claimed::line_up(claim(Channel::Events), Vec::new(), stored(Channel::Events, &users));
        for (user, entries) in users.iter().enumerate() {
            let id = UserId::from(Uuid::from_u128(user as u128));
            let sent: Vec<_> =
                claimed.entries.iter().filter(|entry| entry.user == id).map(|entry| entry.sequence).collect();
            let first = entries.iter().take_while(|seen| **seen == Seen::Mine).count() as u64;
            prop_assert_eq!(sent, (1..=first).collect::<Vec<_>>());
        }
        let mine = users.iter().flatten().filter(|seen| **seen == Seen::Mine).count();
        prop_assert_eq!(claimed.entries.len() + claimed.held_up.len(), mine, "each is one or the other");
    }

    /// Mails do not wait for each other.
    #[test]
    fn every_mail_is_for_itself(users in prop::collection::vec(prop::collection::vec(seen(), 0..8), 0..5)) {
        let claimed = Claimed::line_up(claim(Channel::Mail), Vec::new(), stored(Channel::Mail, &users));
        let mine = users.iter().flatten().filter(|seen| **seen == Seen::Mine).count();
        prop_assert_eq!((claimed.entries.len(), claimed.held_up.len()), (mine, 0));
    }
}

#[test]
fn what_is_held_up_is_looked_at_when_it_can_have_changed() {
    let due = |first| {
        let claimed = Claimed::line_up(
            claim(Channel::Events),
            Vec::new(),
            stored(Channel::Events, &[vec![first, Seen::Mine]]),
        );
        let [(_, Fate::Later { due })] = claimed.held_up.as_slice() else { panic!("{claimed:?}") };
        *due
    };
    assert_eq!(due(Seen::Others), NOW, "another is about to send it");
    assert_eq!(due(Seen::DueLater), later(NOW, PARKED_PAUSE), "not before the first is tried again");
    assert_eq!(due(Seen::Parked), later(NOW, PARKED_PAUSE), "a replay makes it due at once");
}
