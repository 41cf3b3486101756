//! The profiles in their database.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use crate::announcements::Announcement;
use crate::body::Change;

/// How long announcements are remembered: longer than the issuer can repeat one.
const HEARD_KEPT: Duration = Duration::from_hours(30 * 24);

/// What is known of a user beside his account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) bio: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// A part of the list, and where to go on.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    items: Vec<Profile>,
    next_cursor: Option<String>,
}

/// The database.
pub(crate) struct Profiles {
    connection: Mutex<Connection>,
}

impl Profiles {
    /// Opens the file, making it and its folder if they are not there.
    pub(crate) fn open(file: &Path) -> rusqlite::Result<Self> {
        if let Some(dir) = file.parent() {
            // If this fails, opening the file fails as well, and says so better.
            let _ = std::fs::create_dir_all(dir);
        }
        Self::set_up(Connection::open(file)?)
    }

    fn set_up(connection: Connection) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS profiles (
                id TEXT PRIMARY KEY, name TEXT, email TEXT, bio TEXT,
                created_at TEXT NOT NULL, updated_at TEXT NOT NULL
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS heard (
                id TEXT PRIMARY KEY, at INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS heard_at ON heard (at)",
        )?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    pub(crate) fn find(&self, id: &str) -> rusqlite::Result<Option<Profile>> {
        find(&self.lock(), id)
    }

    /// Does what the issuer announces, once: announcements may come twice.
    pub(crate) fn apply(&self, announcement: &Announcement) -> rusqlite::Result<()> {
        let Announcement { id, kind, subject, time, data } = announcement;
        let (now, kept) = (time.as_second(), HEARD_KEPT.as_secs().cast_signed());
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        if transaction
            .execute("INSERT INTO heard VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![id, now])?
            == 0
        {
            return Ok(());
        }
        transaction.execute("DELETE FROM heard WHERE at < ?1", [now - kept])?;
        let at = time.to_string();
        match kind.as_str() {
            "user.created" => transaction.execute(
                "INSERT INTO profiles (id, name, email, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO NOTHING",
                params![subject, data.username, data.email, at],
            )?,
            "user.updated" => transaction.execute(
                "UPDATE profiles SET email = coalesce(?2, email), updated_at = ?3 WHERE id = ?1",
                params![subject, data.email, at],
            )?,
            "user.deleted" => transaction.execute("DELETE FROM profiles WHERE id = ?1", [subject])?,
            _ => 0,
        };
        transaction.commit()
    }

    /// The profile of this user, made now if there is none.
    pub(crate) fn find_or_insert(
        &self,
        id: &str,
        email: Option<&str>,
        now: Timestamp,
    ) -> rusqlite::Result<Profile> {
        let connection = self.lock();
        connection.execute(
            "INSERT INTO profiles (id, email, created_at, updated_at) VALUES (?1, ?2, ?3, ?3) ON CONFLICT DO NOTHING",
            params![id, email, now.to_string()],
        )?;
        find(&connection, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Changes what is given and leaves the rest.
    pub(crate) fn update(
        &self,
        id: &str,
        change: &Change,
        now: Timestamp,
    ) -> rusqlite::Result<Option<Profile>> {
        let connection = self.lock();
        connection.execute(
            "UPDATE profiles SET name = coalesce(?2, name), bio = coalesce(?3, bio), updated_at = ?4 WHERE id = ?1",
            params![id, change.name(), change.bio(), now.to_string()],
        )?;
        find(&connection, id)
    }

    /// Whether there was one to remove.
    pub(crate) fn remove(&self, id: &str) -> rusqlite::Result<bool> {
        self.lock().execute("DELETE FROM profiles WHERE id = ?1", [id]).map(|removed| removed > 0)
    }

    /// Profiles in the order of their ids, after this one.
    pub(crate) fn page(&self, after: &str, limit: u32) -> rusqlite::Result<Page> {
        let connection = self.lock();
        let mut select = connection.prepare("SELECT * FROM profiles WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        // One more than asked for tells whether there are more.
        let rows = select.query_map(params![after, limit + 1], read)?;
        let mut items: Vec<Profile> = rows.collect::<Result<_, _>>()?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { items, next_cursor })
    }

    /// No statement leaves the connection half used, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Profile>> {
    connection.query_row("SELECT * FROM profiles WHERE id = ?1", [id], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        id: row.get("id")?,
        name: row.get("name")?,
        email: row.get("email")?,
        bio: row.get("bio")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles() -> Profiles {
        Profiles::set_up(Connection::open_in_memory().unwrap()).unwrap()
    }

    #[test]
    fn a_profile_is_made_once_and_keeps_what_was_changed() {
        let (profiles, early, late) =
            (profiles(), Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        profiles.find_or_insert("a", Some("a@b.com"), early).unwrap();
        let change = Change::parse(br#"{"name":"Ada"}"#).unwrap();
        let changed = profiles.update("a", &change, late).unwrap().unwrap();
        assert_eq!((changed.name.as_deref(), changed.email.as_deref()), (Some("Ada"), Some("a@b.com")));
        assert_eq!(changed.updated_at, "1970-01-01T00:01:00Z");
        assert_eq!(profiles.find_or_insert("a", None, late).unwrap(), changed);
    }

    #[test]
    fn an_announcement_that_comes_twice_is_heard_once() {
        let profiles = profiles();
        let announce = |id: &str, kind: &str, email: &str| {
            let event = serde_json::json!({
                "id": id, "type": kind, "subject": "a", "time": "1970-01-01T00:01:00Z",
                "data": { "email": email, "username": "ada" },
            });
            profiles.apply(&serde_json::from_value(event).unwrap()).unwrap();
        };
        announce("1", "user.created", "a@b.com");
        announce("2", "user.updated", "ada@b.com");
        announce("1", "user.created", "a@b.com");
        announce("2", "user.updated", "old@b.com");
        let profile = profiles.find("a").unwrap().unwrap();
        assert_eq!((profile.name.as_deref(), profile.email.as_deref()), (Some("ada"), Some("ada@b.com")));
        announce("3", "user.deleted", "");
        announce("1", "user.created", "a@b.com");
        assert_eq!(profiles.find("a").unwrap(), None, "and does not come back");
    }

    #[test]
    fn what_is_not_there_is_neither_changed_nor_removed() {
        let profiles = profiles();
        let change = Change::default();
        assert_eq!(profiles.update("a", &change, Timestamp::UNIX_EPOCH).unwrap(), None);
        assert!(!profiles.remove("a").unwrap());
    }

    #[test]
    fn pages_join_without_gap_or_repeat() {
        let profiles = profiles();
        for id in ["a", "b", "c", "d"] {
            profiles.find_or_insert(id, None, Timestamp::UNIX_EPOCH).unwrap();
        }
        let first = profiles.page("", 2).unwrap();
        assert_eq!(first.next_cursor.as_deref(), Some("b"));
        let second = profiles.page("b", 2).unwrap();
        assert_eq!(second.next_cursor, None);
        let ids: Vec<_> =
            first.items.iter().chain(&second.items).map(|profile| profile.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }
}
