use std::time::Duration;

use doorward_issuer::domain::audit::{Action, AuditEntry, Members, Subject};
use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom, later, random_uuid};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::{Event, Report};
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::ports::{Audit as _, Changed, Roles as _, Sessions as _, Users as _};
use doorward_issuer::domain::user::{UserChange, UserStatus};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{Fixture, account, quiet, role, role_name};

pub(crate) async fn a_deed_and_its_record_are_one_write<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    let (id, nobody) = (account.user.id, UserId::random(&SystemRandom));
    let mut expected = Vec::new();
    let mut deed = |action, happens: bool| {
        let entry = entry(action, Subject::User(id));
        let report = Report::new(entry.at, &RequestContext::default()).record(entry.clone());
        if happens {
            expected.push(entry);
        }
        report
    };
    // With events and without: the record does not hang on them.
    store.insert(&account, &deed(Action::CreateUser, true)).await.unwrap();
    store.insert(&account, &deed(Action::CreateUser, false)).await.unwrap_err();
    let suspended = UserChange { status: Some(UserStatus::Suspended), ..UserChange::default() };
    let told = deed(Action::SuspendUser, true).tell(Event::UserUnlocked);
    assert_eq!(store.change(id, 0, &suspended, &told).await.unwrap(), Changed::Yes);
    let late = store.change(id, 0, &suspended, &deed(Action::SuspendUser, false)).await.unwrap();
    assert_eq!(late, Changed::Superseded);
    assert!(store.end_all(id, &deed(Action::LogOutUser, true)).await.unwrap());
    assert!(!store.end_all(nobody, &deed(Action::LogOutUser, false)).await.unwrap());
    let x = role("x", "", &[]);
    assert_eq!(store.put(None, &x, id, &deed(Action::CreateRole, true)).await.unwrap(), Changed::Yes);
    assert_eq!(store.put(None, &x, id, &deed(Action::CreateRole, false)).await.unwrap(), Changed::Superseded);
    assert_eq!(store.remove(&x, &deed(Action::DeleteRole, true)).await.unwrap(), Changed::Yes);
    assert_eq!(store.remove(&x, &deed(Action::DeleteRole, false)).await.unwrap(), Changed::Superseded);
    assert_eq!(store.delete(id, 9, &deed(Action::DeleteUser, false)).await.unwrap(), Changed::Superseded);
    assert_eq!(store.delete(id, 2, &deed(Action::DeleteUser, true)).await.unwrap(), Changed::Yes);

    let mut found = fixture.open().await.entries(None, 100).await.unwrap();
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(found, expected, "as it was written, and it outlives the user");
}

pub(crate) async fn the_record_has_the_newest_deeds_page_by_page<F: Fixture>() {
    let fixture = F::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let start = SystemClock.now();
    let mut expected = Vec::new();
    for n in 0..9_u64 {
        let at = later(start, Duration::from_millis(n / 2));
        let entry = AuditEntry { at, ..entry(Action::UpdateRole, Subject::Role(role_name("PROVIDER"))) };
        let report = Report::new(at, &RequestContext::default()).record(entry.clone());
        store.end_all(account.user.id, &report).await.unwrap();
        expected.push(entry);
    }
    expected.sort_by_key(key);
    expected.reverse();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.entries(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.place());
        paged.extend(page);
    }
    assert_eq!(paged, expected, "nothing twice, nothing left out");
}

fn key(entry: &AuditEntry) -> (Timestamp, Uuid) {
    (entry.at, entry.id)
}

fn entry(action: Action, subject: Subject) -> AuditEntry {
    let context = RequestContext {
        request_id: "r-1".into(),
        address: Some("2001:db8::1".parse().unwrap()),
        user_agent: None,
    };
    let members = |value: serde_json::Value| -> Members { serde_json::from_value(value).unwrap() };
    let (id, actor) = (random_uuid(&SystemRandom), Some(UserId::random(&SystemRandom)));
    AuditEntry::new(id, actor, action, subject, SystemClock.now(), &context)
        .changing(members(json!({"$set": null})), members(json!({"roles": ["a.b", "ü"]})))
}
