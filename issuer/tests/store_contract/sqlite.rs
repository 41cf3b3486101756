use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use doorward_issuer::domain::ports::{StoreError, StoreHealth as _, Users as _, WriteUserError};
use doorward_issuer::domain::username::LoginName;
use doorward_issuer::store::OpenError;
use doorward_issuer::store::sqlite::SqliteStore;
use futures_util::future::join_all;
use rusqlite::Connection;

use crate::fixture::{Fixture as _, Sqlite, account, quiet};

#[tokio::test]
async fn folder_and_files_are_for_their_owner_alone() {
    let fixture = Sqlite::start().await;
    let folder = fixture.folder.path().join("new/data");
    let store = SqliteStore::open(&folder.join("doorward.db")).await.unwrap();
    store.insert(&account(), &quiet()).await.unwrap();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the database, its log and its index: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let fixture = Sqlite::start().await;
    let account = account();
    fixture.open().await.insert(&account, &quiet()).await.unwrap();
    let login = LoginName::Email(account.user.email.clone());
    assert_eq!(fixture.open().await.by_login(&login).await.unwrap(), Some(account));
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let fixture = Sqlite::start().await;
    let path = fixture.folder.path().join("doorward.db");
    let opened = join_all((0..8).map(|_| SqliteStore::open(&path))).await;
    for store in opened {
        store.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_left_alone() {
    let fixture = Sqlite::start().await;
    let path = fixture.folder.path().join("doorward.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let refused = SqliteStore::open(&path).await.map(drop);
    assert!(matches!(refused, Err(OpenError::Newer { found: 999, .. })), "{refused:?}");
    let tables: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn a_path_that_cannot_be_made_is_named() {
    let refused = SqliteStore::open(Path::new("/dev/null/doorward.db")).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("/dev/null/doorward.db"), "{refused}");
}

#[tokio::test]
async fn a_file_locked_by_another_process_is_unavailable_for_writing_only() {
    let fixture = Sqlite::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let other = Connection::open(fixture.folder.path().join("doorward.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.insert(&crate::fixture::account(), &quiet()).await;
    assert!(matches!(refused, Err(WriteUserError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    let login = LoginName::Email(account.user.email.clone());
    assert_eq!(store.by_login(&login).await.unwrap(), Some(account));
    other.execute_batch("ROLLBACK").unwrap();
    store.ping().await.unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
