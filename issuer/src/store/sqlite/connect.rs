use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backon::{BlockingRetryable as _, ConstantBuilder};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::migrations;
use crate::domain::ports::{StoreError, StoreHealth};
use crate::store::OpenError;
use crate::store::news::News;

/// A SQLite file. One connection writes, a few read; all of it happens off the async threads.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
    pub(super) news: News,
}

const READERS: usize = 4;
/// How long to wait for a connection of our own, and then as long again for another process's lock.
const PATIENCE: Duration = Duration::from_millis(1500);

impl SqliteStore {
    /// Opens the file, makes it (and its folder) if need be for this user's eyes only, and brings its tables up to
    /// date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_patiently(path, PATIENCE).await
    }

    /// Like [`open`](Self::open), for those who would rather wait that long, or twice as long, than hear that the store is
    /// unavailable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_patiently(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        let path = path.to_owned();
        spawn_blocking(move || Self::open_blocking(&path, patience)).await.map_err(StoreError::unavailable)?
    }

    fn open_blocking(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        make_private_file(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let connect = |mode| connect(path, mode, patience).map_err(failure);
        let mut writer = connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrations::run(&mut writer)?;
        let readers = (0..READERS).map(|_| connect(OpenFlags::SQLITE_OPEN_READ_ONLY));
        let readers = readers.collect::<Result<_, _>>()?;
        let lane = |connections| Lane::new(connections, patience);
        Ok(Self { writer: lane(vec![writer]), readers: lane(readers), news: News::new() })
    }

    /// Runs `work` in a transaction that sees one state of the file.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.run(TransactionBehavior::Deferred, work).await.map_err(StoreError::from)
    }

    /// Runs `work` in a transaction that is the only one to write. It is committed if `work` says `Ok`, even if
    /// nobody waits for the answer any more.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        self.writer.run(TransactionBehavior::Immediate, work).await
    }

    /// Like [`write`](Self::write), and wakes whoever passes on what was written.
    pub(super) async fn tell<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let news = self.news.clone();
        let done = self.write(work).await;
        news.spread();
        done
    }
}

#[async_trait]
impl StoreHealth for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        // An immediate transaction takes the write lock: so it proves that the file can be written to.
        let ping = |transaction: &Transaction<'_>| {
            transaction.query_row("SELECT count(*) FROM roles", [], |row| row.get::<_, i64>(0))?;
            Ok(())
        };
        Ok(self.write(ping).await?)
    }
}

/// What can go wrong in a transaction: the database, or what it holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqliteError {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody would be left who can administer: nothing is committed.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// Somebody has the role: nothing is committed.
    #[error("the role has owners")]
    Owned,
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Database(error) => failure(error),
            SqliteError::Store(error) => error,
            refused @ (SqliteError::LastAdministrator | SqliteError::Owned) => {
                StoreError::Corrupt(refused.to_string())
            }
        }
    }
}

/// What a failure of the database means to the flows.
pub(super) fn failure(error: rusqlite::Error) -> StoreError {
    match error {
        // The row is there, and is not what this version writes.
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            StoreError::Corrupt(error.to_string())
        }
        error => StoreError::unavailable(error),
    }
}

/// Connections for one kind of work, handed out one at a time.
struct Lane {
    free: Semaphore,
    idle: Mutex<Vec<Connection>>,
    patience: Duration,
}

impl Lane {
    fn new(connections: Vec<Connection>, patience: Duration) -> Arc<Self> {
        Arc::new(Self { free: Semaphore::new(connections.len()), idle: Mutex::new(connections), patience })
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let permit = timeout(self.patience, self.free.acquire()).await.map_err(StoreError::unavailable)?;
        // The connection carries the permit from here: it is given back together with it.
        permit.map_err(StoreError::unavailable)?.forget();
        let lane = Arc::clone(self);
        let job = move || {
            let mut lease = Lease::take(&lane)?;
            let transaction = lease.connection()?.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        spawn_blocking(job).await.map_err(StoreError::unavailable)?
    }
}

/// A connection in use; goes back to its lane when dropped, also by a panic.
struct Lease<'a> {
    lane: &'a Lane,
    connection: Option<Connection>,
}

impl<'a> Lease<'a> {
    fn take(lane: &'a Lane) -> Result<Self, StoreError> {
        let connection = lane.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Self { lane, connection })
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let missing = || StoreError::unavailable(io::Error::other("no connection is free"));
        self.connection.as_mut().ok_or_else(missing)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.lane.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        self.lane.free.add_permits(1);
    }
}

fn connect(path: &Path, mode: OpenFlags, patience: Duration) -> Result<Connection, rusqlite::Error> {
    // Without SQLITE_OPEN_URI a path is a path, whatever characters it has.
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(patience)?;
    if mode == OpenFlags::SQLITE_OPEN_READ_WRITE {
        // Two that make the same file: SQLite waits for neither here, whatever `busy_timeout` says.
        const PAUSE: Duration = Duration::from_millis(10);
        let is_busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
        let attempts = ConstantBuilder::default().with_delay(PAUSE).with_jitter().with_max_times(150);
        (|| connection.pragma_update(None, "journal_mode", "WAL")).retry(attempts).when(is_busy).call()?;
        // What was answered with `Ok` survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// SQLite gives its side files the mode of the main one.
fn make_private_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map(drop)
}
