use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mongodb::bson::{Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, ClientSession, Collection, Database, error};
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::alerts::AlertRecord;
use super::attempts::AttemptRecord;
use super::audit::AuditRecord;
use super::keys::KeyRecord;
use super::letters::TokenRecord;
use super::logins::LoginRecord;
use super::migrations;
use super::outbox::EntryRecord;
use super::revocations::{CounterRecord, RevocationRecord};
use super::roles::RoleRecord;
use super::sessions::SessionRecord;
use super::users::UserRecord;
use crate::domain::ports::{StoreError, StoreHealth};
use crate::store::OpenError;
use crate::store::news::News;

/// A MongoDB database. Reads and writes go to the primary, with majority concern.
#[derive(Clone)]
pub struct MongoStore {
    pub(super) client: Client,
    pub(super) users: Collection<UserRecord>,
    pub(super) sessions: Collection<SessionRecord>,
    pub(super) roles: Collection<RoleRecord>,
    pub(super) keys: Collection<KeyRecord>,
    pub(super) tokens: Collection<TokenRecord>,
    pub(super) outbox: Collection<EntryRecord>,
    pub(super) revocations: Collection<RevocationRecord>,
    pub(super) counters: Collection<CounterRecord>,
    pub(super) audit: Collection<AuditRecord>,
    pub(super) attempts: Collection<AttemptRecord>,
    pub(super) logins: Collection<LoginRecord>,
    pub(super) alerts: Collection<AlertRecord>,
    pub(super) news: News,
    /// Held by the one transaction of this process that gives a place in the list of revocations.
    place: Arc<Mutex<()>>,
    /// Held by the one attempt of this process that is being counted.
    pub(super) counting: Arc<Mutex<()>>,
    pub(super) database: Database,
    patience: Duration,
}

const DEFAULT_DATABASE: &str = "doorward";
/// How long to look for a primary.
const SELECTION: Duration = Duration::from_secs(2);
/// How many questions can be under way at once, unless the URL says otherwise (`maxPoolSize`). The driver's own 10 make
/// requests wait for each other while the database waits for its journal.
const CONNECTIONS: u32 = 32;
/// How long a whole operation may take, as far as whoever waits for it is concerned.
const PATIENCE: Duration = Duration::from_millis(2900);

impl MongoStore {
    /// Connects to the database that `url` names (`doorward` if it names none), and makes its indexes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::connect_patiently(url, PATIENCE).await
    }

    /// Like [`connect`](Self::connect), for those who would rather wait that long than hear that the store is unavailable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect_patiently(url: &str, patience: Duration) -> Result<Self, OpenError> {
        let client = Client::with_options(options(url).await?).map_err(|_| OpenError::Url)?;
        let database = client.default_database().unwrap_or_else(|| client.database(DEFAULT_DATABASE));
        let store = Self {
            users: database.collection("users"),
            sessions: database.collection("sessions"),
            roles: database.collection("roles"),
            keys: database.collection("keys"),
            tokens: database.collection("one_time_tokens"),
            outbox: database.collection("outbox"),
            revocations: database.collection("revocations"),
            counters: database.collection("counters"),
            audit: database.collection("audit"),
            attempts: database.collection("attempts"),
            logins: database.collection("logins"),
            alerts: database.collection("alerts"),
            news: News::new(),
            place: Arc::default(),
            counting: Arc::default(),
            client,
            database,
            patience,
        };
        let hello = store.hello().await.map_err(unanswered)?;
        if !is_replica_set(&hello) {
            return Err(OpenError::NotReplicaSet);
        }
        migrations::run(&store).await?;
        Ok(store)
    }

    /// Runs `work` in a transaction, again from its start when it meets another one, and then wakes whoever passes on
    /// what was written. `Ok` commits.
    pub(super) async fn tell<C: Send + Sync + 'static, T: Send + 'static>(
        &self,
        context: C,
        work: for<'a> fn(&'a mut ClientSession, &'a Self, &'a C) -> BoxFuture<'a, error::Result<T>>,
    ) -> error::Result<T> {
        let mut session = self.client.start_session().await?;
        let done = session
            .start_transaction()
            .and_run((self.clone(), context), |transaction, (store, context)| {
                work(transaction, store, context)
            })
            .await;
        self.news.spread();
        done
    }

    /// Like [`tell`](Self::tell), for work that may revoke. All of it wants the one counter of places, and whoever
    /// meets another transaction there has to start again: within a process they take turns instead.
    pub(super) async fn tell_and_revoke<C: Send + Sync + 'static, T: Send + 'static>(
        &self,
        context: C,
        work: for<'a> fn(&'a mut ClientSession, &'a Self, &'a C) -> BoxFuture<'a, error::Result<T>>,
    ) -> error::Result<T> {
        let _turn = self.place.lock().await;
        self.tell(context, work).await
    }

    async fn hello(&self) -> Result<Document, StoreError> {
        let database = self.database.clone();
        self.bounded(async move { database.run_command(doc! { "hello": 1 }).await }).await
    }

    /// Runs a driver's future to its end, in a task of its own: the driver's futures must not be dropped half way. Whoever
    /// asked waits no longer than his patience.
    pub(super) async fn bounded<T: Send + 'static>(
        &self,
        operation: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let task = tokio::spawn(operation);
        let done = timeout(self.patience, task).await.map_err(StoreError::unavailable)?;
        done.map_err(StoreError::unavailable)?.map_err(failure)
    }
}

#[async_trait]
impl StoreHealth for MongoStore {
    async fn ping(&self) -> Result<(), StoreError> {
        // A read with majority concern on the primary: so there is one, and a majority behind it.
        let roles = self.roles.clone();
        self.bounded(async move { roles.find_one(doc! {}).await }).await.map(drop)
    }
}

/// What a failure of the driver means to the flows.
fn failure(error: mongodb::error::Error) -> StoreError {
    match *error.kind {
        // The document is there, and is not what this version writes.
        ErrorKind::Bson(_) | ErrorKind::BsonDeserialization(_) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::unavailable(error),
    }
}

/// What the server says when a unique index refuses a write.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// The unique index that refused a write, if that is what went wrong.
pub(super) fn violated_index(error: &mongodb::error::Error) -> Option<&str> {
    let ErrorKind::Write(WriteFailure::WriteError(refused)) = &*error.kind else { return None };
    // "E11000 duplicate key error collection: db.users index: email dup key: { … }": the first `index:` is the
    // server's own, whatever the user's values say further on.
    let (_, from_name) = refused.message.split_once(" index: ")?;
    (refused.code == DUPLICATE_KEY).then(|| from_name.split(' ').next().unwrap_or_default())
}

async fn options(url: &str) -> Result<ClientOptions, OpenError> {
    let mut options = ClientOptions::parse(url).await.map_err(|_| OpenError::Url)?;
    options.app_name.get_or_insert_with(|| "doorward-issuer".to_owned());
    options.server_selection_timeout = Some(SELECTION);
    options.connect_timeout = Some(SELECTION);
    options.max_pool_size.get_or_insert(CONNECTIONS);
    // Whatever the URL says: a session that was ended must never be seen again on a lagging secondary.
    options.selection_criteria = None;
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    Ok(options)
}

fn unanswered(error: StoreError) -> OpenError {
    let StoreError::Unavailable(source) = &error else { return OpenError::Store(error) };
    let driver = source.downcast_ref::<mongodb::error::Error>();
    let selection = driver.is_some_and(|error| matches!(*error.kind, ErrorKind::ServerSelection { .. }));
    if !selection && !source.is::<Elapsed>() {
        return OpenError::Store(error);
    }
    // The driver's account of all servers is long; the sentence is what helps.
    tracing::debug!(%source, "no primary");
    OpenError::NoPrimary
}

fn is_replica_set(hello: &Document) -> bool {
    // `mongos` in front of a sharded cluster has transactions as well.
    hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_server_is_told_from_one_with_transactions() {
        assert!(is_replica_set(&doc! { "isWritablePrimary": true, "setName": "rs0" }));
        assert!(is_replica_set(&doc! { "isWritablePrimary": true, "msg": "isdbgrid" }));
        assert!(!is_replica_set(&doc! { "isWritablePrimary": true }));
    }

    #[tokio::test]
    async fn the_url_does_not_weaken_what_the_flows_rely_on() {
        let url = "mongodb://h/?readPreference=secondary&w=1&journal=false&readConcernLevel=local\
                   &serverSelectionTimeoutMS=60000";
        let options = options(url).await.map_err(|error| error.to_string()).unwrap();
        assert!(options.selection_criteria.is_none());
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        let written = options.write_concern.unwrap();
        assert_eq!((written.w, written.journal), (Some(Acknowledgment::Majority), Some(true)));
        assert_eq!(options.server_selection_timeout, Some(SELECTION));
    }
}
