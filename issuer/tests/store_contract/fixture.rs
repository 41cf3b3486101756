use std::env;
use std::time::Duration;

use doorward_issuer::domain::clock::{
    Clock as _, Random, SystemClock, SystemRandom, random_bytes, random_uuid,
};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::email::Email;
use doorward_issuer::domain::event::Report;
use doorward_issuer::domain::ids::UserId;
use doorward_issuer::domain::keys::KeyId;
use doorward_issuer::domain::password::PasswordHash;
use doorward_issuer::domain::ports::Store;
use doorward_issuer::domain::role::{Permission, Role, RoleName};
use doorward_issuer::domain::user::{Account, User, UserStatus};
use doorward_issuer::domain::username::Username;
use doorward_issuer::store::mongodb::MongoStore;
use doorward_issuer::store::sqlite::SqliteStore;
use mongodb::Client;
use mongodb::bson::{Document, Uuid, doc};
use rusqlite::Connection;
use tempfile::TempDir;

/// However busy the machine is: what is asked of both stores is not about that.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that nobody else uses.
pub(crate) trait Fixture: Sized {
    type Store: Store + Clone + 'static;

    async fn start() -> Self;

    /// Opens the database; every call is another replica.
    async fn open(&self) -> Self::Store;

    /// Changes a user behind the issuer's back.
    async fn edit(&self, user: UserId, edit: Edit);

    /// How many races of few, and of many, a test runs: as many as do not slow the others down.
    const SMALL_RACES: u32;
    const GREAT_RACES: u32;
}

/// What an administrator may do to a user.
#[derive(Clone, Copy)]
pub(crate) enum Edit {
    /// Gives him this role alone, which raises his epoch.
    Role(&'static str),
    Suspend,
    Delete,
}

/// A file in a folder that goes away with the test.
pub(crate) struct Sqlite {
    pub(crate) folder: TempDir,
}

impl Fixture for Sqlite {
    type Store = SqliteStore;

    async fn start() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    async fn open(&self) -> SqliteStore {
        let file = self.folder.path().join("doorward.db");
        SqliteStore::open_patiently(&file, PATIENCE).await.expect("the file opens")
    }

    async fn edit(&self, user: UserId, edit: Edit) {
        let database = Connection::open(self.folder.path().join("doorward.db")).expect("the file opens");
        let user = user.uuid();
        let id = user.as_bytes();
        let changed = match edit {
            Edit::Role(role) => {
                let roles = database.execute("UPDATE user_roles SET role = ? WHERE user = ?", (role, id));
                assert_eq!(roles.unwrap(), 1);
                database.execute("UPDATE users SET epoch = epoch + 1 WHERE id = ?", [id])
            }
            Edit::Suspend => database.execute("UPDATE users SET status = 'suspended' WHERE id = ?", [id]),
            Edit::Delete => database.execute("DELETE FROM users WHERE id = ?", [id]),
        };
        assert_eq!(changed.unwrap(), 1);
    }

    const SMALL_RACES: u32 = 1000;
    const GREAT_RACES: u32 = 20;
}

/// A database in the real MongoDB; it goes away with the server that was started for the tests.
pub(crate) struct Mongo {
    pub(crate) url: String,
}

impl Fixture for Mongo {
    type Store = MongoStore;

    async fn start() -> Self {
        let server = env::var("DOORWARD_TEST_MONGODB_URL")
            .expect("run this through `cargo xtask test`, which starts a MongoDB");
        let name = format!("store_contract_{}", random_uuid(&SystemRandom).simple());
        Self { url: with_database(&server, &name) }
    }

    async fn open(&self) -> MongoStore {
        MongoStore::connect_patiently(&self.url, PATIENCE).await.expect("the database opens")
    }

    async fn edit(&self, user: UserId, edit: Edit) {
        let client = Client::with_uri_str(&self.url).await.expect("the database opens");
        let users = client.default_database().expect("the URL names one").collection::<Document>("users");
        let user = doc! { "_id": Uuid::from_bytes(user.uuid().into_bytes()) };
        let changed = match edit {
            Edit::Role(role) => {
                let update = doc! { "$set": { "roles": [role] }, "$inc": { "epoch": 1_i64 } };
                users.update_one(user, update).await.unwrap().modified_count
            }
            Edit::Suspend => {
                let update = doc! { "$set": { "status": "suspended" } };
                users.update_one(user, update).await.unwrap().modified_count
            }
            Edit::Delete => users.delete_one(user).await.unwrap().deleted_count,
        };
        assert_eq!(changed, 1);
    }

    const SMALL_RACES: u32 = 200;
    const GREAT_RACES: u32 = 20;
}

/// `mongodb://host/?options` with a database between the two.
pub(crate) fn with_database(server: &str, name: &str) -> String {
    let (hosts, options) = server.split_once('?').unwrap_or((server, ""));
    let scheme = "mongodb://";
    let hosts = hosts.strip_prefix(scheme).expect("a mongodb:// URL").split('/').next().unwrap_or_default();
    format!("{scheme}{hosts}/{name}?{options}")
}

/// An account that nobody else has.
pub(crate) fn account() -> Account {
    let now = SystemClock.now();
    let id = UserId::random(&SystemRandom);
    let user = User {
        id,
        email: Email::parse(&format!("{}@example.com", id.uuid().simple())).unwrap(),
        email_verified: false,
        username: None,
        roles: vec![role_name("user")],
        status: UserStatus::Active,
        epoch: 0,
        created_at: now,
        updated_at: now,
    };
    Account { user, password: hash() }
}

/// A report of something that nobody has to hear of.
pub(crate) fn quiet() -> Report {
    Report::new(SystemClock.now(), &RequestContext::default())
}

/// The hash of some password.
pub(crate) fn hash() -> PasswordHash {
    let salt = random_uuid(&SystemRandom).simple();
    PasswordHash::Peppered { pepper: KeyId::new("pepper"), bcrypt: format!("$2b$04${salt}") }
}

/// A role with these permissions.
pub(crate) fn role(name: &str, description: &str, permissions: &[&str]) -> Role {
    Role {
        name: role_name(name),
        description: description.to_owned(),
        permissions: permissions.iter().map(|name| Permission::parse(name).unwrap()).collect(),
    }
}

/// An account with these roles.
pub(crate) fn account_with(roles: &[&str]) -> Account {
    let plain = account();
    let roles = roles.iter().map(|name| role_name(name)).collect();
    Account { user: User { roles, ..plain.user }, ..plain }
}

pub(crate) fn role_name(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

pub(crate) fn username() -> Username {
    let digits = u32::from_be_bytes(random_bytes(&SystemRandom as &dyn Random));
    Username::parse(&format!("user-{digits}")).unwrap()
}
