use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later, random_uuid};
use doorward_issuer::domain::event::{Event, Report};
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::outbox::fate::Fate;
use doorward_issuer::domain::outbox::{
    Channel, Claim, Claimed, EntryState, KEPT_DONE, KEPT_UNROUTABLE, MailJob, OutboxStatus, Replay,
};
use doorward_issuer::domain::ports::{Outbox, Store, Users};
use doorward_issuer::domain::user::UserChange;
use futures_util::future::join_all;
use jiff::Timestamp;
use uuid::Uuid;

use crate::fixture::{Fixture, account, quiet};

const LEASE: Duration = Duration::from_secs(20);

pub(crate) async fn a_claim_is_one_users_line_from_its_front<F: Fixture>() {
    let fixture = F::start().await;
    let (store, other) = (fixture.open().await, fixture.open().await);
    let (ada, bob) = (user_with(&store, 3).await, user_with(&store, 2).await);
    let now = SystemClock.now();

    let claimed = store.claim(&claim(now)).await.unwrap();
    assert_eq!(sequences(&claimed, ada), [1, 2, 3]);
    assert_eq!(sequences(&claimed, bob), [1, 2]);
    let nothing = other.claim(&claim(now)).await.unwrap();
    assert!(nothing.entries.is_empty() && nothing.users.is_empty(), "{nothing:?}");

    // What comes later waits for what is being sent.
    tell(&store, ada).await;
    let behind = other.claim(&claim(SystemClock.now())).await.unwrap();
    assert_eq!((behind.users.as_slice(), behind.entries.len()), ([ada].as_slice(), 0));
    other.settle(&behind, &[], SystemClock.now()).await.unwrap();
    let done: Vec<_> = claimed.entries.iter().map(|entry| (entry.id, Fate::Done)).collect();
    store.settle(&claimed, &done, now).await.unwrap();
    let next = other.claim(&claim(SystemClock.now())).await.unwrap();
    assert_eq!((sequences(&next, ada), sequences(&next, bob)), (vec![4], vec![]));
}

pub(crate) async fn many_relays_send_everything_once_and_in_order<F: Fixture>() {
    const RELAYS: usize = 4;
    let fixture = F::start().await;
    let mut stores = Vec::new();
    for _ in 0..RELAYS {
        stores.push(fixture.open().await);
    }
    let mut users = Vec::new();
    for number in 0..12 {
        users.push(user_with(&stores[0], 1 + number % 5).await);
    }
    let sent = Mutex::new(BTreeMap::<UserId, Vec<u64>>::new());
    let relay = async |store: &F::Store| {
        let mut idle = 0;
        while idle < 20 {
            let claimed = store.claim(&Claim { limit: 4, ..claim(SystemClock.now()) }).await.unwrap();
            let mut fates = Vec::new();
            for entry in &claimed.entries {
                sent.lock().unwrap().entry(entry.user).or_default().push(entry.sequence);
                fates.push((entry.id, Fate::Done));
                // New events of a user arrive while his older ones are on their way.
                if entry.sequence == 1 {
                    tell(store, entry.user).await;
                }
            }
            store.settle(&claimed, &fates, SystemClock.now()).await.unwrap();
            idle = if claimed.entries.is_empty() { idle + 1 } else { 0 };
        }
    };
    join_all(stores.iter().map(relay)).await;
    let sent = sent.into_inner().unwrap();
    for (number, user) in (0..).zip(&users) {
        let all: Vec<_> = (1..=2 + number % 5).collect();
        assert_eq!(sent[user], all, "once, and in order");
    }
    assert_eq!(stores[0].status(Channel::Events).await.unwrap(), OutboxStatus::default());
}

pub(crate) async fn what_is_not_settled_comes_back<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let ada = user_with(&store, 2).await;
    let now = SystemClock.now();
    let lost = store.claim(&claim(now)).await.unwrap();
    assert_eq!(lost.entries.len(), 2);
    // The relay is killed. Before its claim has ended nobody touches what it may still be sending.
    assert!(store.claim(&claim(later(now, LEASE / 2))).await.unwrap().entries.is_empty());
    let after = later(now, LEASE);
    let again = store.claim(&claim(after)).await.unwrap();
    assert_eq!(sequences(&again, ada), [1, 2]);

    // It was not dead, only slow: what it did counts, what it did not do is not its to say any more.
    let parked = Fate::Parked { reason: "slow".to_owned() };
    store
        .settle(&lost, &[(lost.entries[0].id, Fate::Done), (lost.entries[1].id, parked)], after)
        .await
        .unwrap();
    let status = store.status(Channel::Events).await.unwrap();
    assert_eq!((status.waiting, status.parked), (1, 0));

    // And what a relay gives back unsent is due at once.
    store.settle(&again, &[], after).await.unwrap();
    assert_eq!(sequences(&store.claim(&claim(after)).await.unwrap(), ada), [2]);
}

pub(crate) async fn a_parked_event_holds_up_its_user_alone_until_it_is_replayed<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let (ada, bob) = (user_with(&store, 2).await, user_with(&store, 1).await);
    let mut now = SystemClock.now();

    let claimed = store.claim(&claim(now)).await.unwrap();
    let first = claimed.entries.iter().find(|entry| (entry.user, entry.sequence) == (ada, 1)).unwrap().id;
    let due = later(now, Duration::from_secs(5));
    let again = Fate::Again { due, reason: "nack".to_owned() };
    store.settle(&claimed, &[(first, again)], now).await.unwrap();
    let next = store.claim(&claim(now)).await.unwrap();
    assert_eq!((sequences(&next, ada), sequences(&next, bob)), (vec![], vec![1]), "others go on");
    store.settle(&next, &[(next.entries[0].id, Fate::Done)], now).await.unwrap();

    now = due;
    let next = store.claim(&claim(now)).await.unwrap();
    assert_eq!((sequences(&next, ada), next.entries[0].attempts), (vec![1, 2], 1));
    store.settle(&next, &[(first, Fate::Parked { reason: "nack".to_owned() })], now).await.unwrap();
    let held_up = store.claim(&claim(now)).await.unwrap();
    assert!(held_up.entries.is_empty());
    store.settle(&held_up, &[], now).await.unwrap();
    assert!(store.claim(&claim(now)).await.unwrap().users.is_empty(), "nobody looks all the time");

    let troubled = store.troubled(Channel::Events, 10).await.unwrap();
    let [parked] = troubled.as_slice() else { panic!("{troubled:?}") };
    assert_eq!((parked.entry.id, parked.state, parked.reason.as_str()), (first, EntryState::Parked, "nack"));
    assert_eq!(parked.entry.attempts, 2);
    let status = store.status(Channel::Events).await.unwrap();
    assert_eq!((status.waiting, status.parked), (1, 1));

    let replay = Replay { channel: Channel::Events, state: EntryState::Parked, user: Some(bob), id: None };
    assert_eq!(store.replay(&replay, now).await.unwrap(), 0, "nothing of his is parked");
    let replay = Replay { user: None, id: Some(first), ..replay };
    assert_eq!(store.replay(&replay, now).await.unwrap(), 1);
    let replayed = store.claim(&claim(now)).await.unwrap();
    assert_eq!((sequences(&replayed, ada), replayed.entries[0].attempts), (vec![1, 2], 0));
    assert!(store.troubled(Channel::Events, 10).await.unwrap().is_empty());
}

pub(crate) async fn what_has_left_is_kept_for_a_while<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let ada = user_with(&store, 3).await;
    let now = SystemClock.now();
    let claimed = store.claim(&claim(now)).await.unwrap();
    let [done, nowhere, _] = claimed.entries.as_slice() else { panic!("{claimed:?}") };
    store.settle(&claimed, &[(done.id, Fate::Done), (nowhere.id, Fate::Unroutable)], now).await.unwrap();
    let kept = async |at| {
        store.sweep(at, false).await.unwrap();
        store.of_user(ada).await.unwrap().into_iter().map(|entry| entry.sequence).collect::<Vec<_>>()
    };
    assert_eq!(kept(later(now, KEPT_DONE - Duration::from_secs(1))).await, [1, 2, 3]);
    assert_eq!(store.status(Channel::Events).await.unwrap().unroutable, 1);
    assert_eq!(kept(later(now, KEPT_DONE)).await, [2, 3]);
    assert_eq!(kept(later(now, KEPT_UNROUTABLE)).await, [3], "what has not left stays, however old");

    store.sweep(later(now, KEPT_UNROUTABLE), true).await.unwrap();
    assert!(store.of_user(ada).await.unwrap().is_empty(), "unless nobody is there to be told");
}

pub(crate) async fn a_mail_goes_its_own_way_and_leaves_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let ada = user_with(&store, 1).await;
    let job = |id| MailJob { id: Uuid::from_u128(id), kind: "password_reset", data: format!("sealed {id}") };
    let (one, two) = (job(1), job(2));
    let change = UserChange { email_verified: Some(true), ..UserChange::default() };
    let report = quiet().mail(one.clone()).mail(two.clone());
    let _changed = Users::change(&store, ada, 0, &change, &report).await.unwrap();
    assert_eq!(store.of_user(ada).await.unwrap().len(), 1, "a mail is not an event");

    let now = SystemClock.now();
    let events = store.claim(&claim(now)).await.unwrap();
    assert_eq!(events.entries.len(), 1);
    let mails = Claim { channel: Channel::Mail, ..claim(now) };
    let claimed = store.claim(&mails).await.unwrap();
    let mut seen: Vec<_> =
        claimed.entries.iter().map(|entry| (entry.id, entry.kind.as_str(), entry.data.as_str())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [&one, &two].map(|job| (job.id, job.kind, job.data.as_str())));
    let parked = Fate::Parked { reason: "550".to_owned() };
    store.settle(&claimed, &[(one.id, parked), (two.id, Fate::Removed)], now).await.unwrap();
    let status = store.status(Channel::Mail).await.unwrap();
    assert_eq!(status, OutboxStatus { parked: 1, ..OutboxStatus::default() });

    // One that is parked is in nobody's way.
    let _changed = Users::change(&store, ada, 0, &change, &quiet().mail(job(3))).await.unwrap();
    let now = SystemClock.now();
    let next = store.claim(&Claim { id: random_uuid(&SystemRandom), now, ..mails }).await.unwrap();
    assert_eq!(next.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [job(3).id]);
}

/// A user with so many events.
async fn user_with(store: &impl Store, events: usize) -> UserId {
    let account = account();
    let told = |report: Report, _| report.tell(Event::PasswordChanged);
    store.insert(&account, &(0..events).fold(quiet(), told)).await.unwrap();
    account.user.id
}

async fn tell(store: &impl Store, user: UserId) {
    let change = UserChange { email_verified: Some(true), ..UserChange::default() };
    let _changed = Users::change(store, user, 0, &change, &quiet().tell(Event::UserUnlocked)).await.unwrap();
}

fn claim(now: Timestamp) -> Claim {
    let id = random_uuid(&SystemRandom);
    Claim { id, channel: Channel::Events, now, until: later(now, LEASE), limit: 256 }
}

fn sequences(claimed: &Claimed, user: UserId) -> Vec<u64> {
    claimed.entries.iter().filter(|entry| entry.user == user).map(|entry| entry.sequence).collect()
}
