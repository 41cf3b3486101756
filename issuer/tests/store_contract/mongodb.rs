use std::net::SocketAddr;
use std::time::Duration;

use doorward_issuer::domain::clock::{Clock as _, SystemClock, SystemRandom};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::event::Event;
use doorward_issuer::domain::ids::SessionId;
use doorward_issuer::domain::login_history::{LoginEntry, LoginFailure};
use doorward_issuer::domain::ports::{
    Keys as _, LoginHistory as _, Sessions, StoreError, StoreHealth as _, Users as _, WriteUserError,
};
use doorward_issuer::store::OpenError;
use doorward_issuer::store::mongodb::MongoStore;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixture::{Fixture as _, Mongo, account, quiet};

/// How long a store that is down may take to say so.
const SOON: Duration = Duration::from_millis(3500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_unavailable_soon_and_comes_back() {
    let link = Link::to(&Mongo::start().await.url).await;
    let store = MongoStore::connect(&link.url).await.unwrap();
    store.ping().await.unwrap();
    let address = link.cut().await;

    let inserted = timeout(SOON, store.insert(&account(), &quiet())).await.expect("answers soon");
    assert!(matches!(inserted, Err(WriteUserError::Store(StoreError::Unavailable(_)))), "{inserted:?}");
    let found = timeout(SOON, Sessions::by_id(&store, SessionId::random(&SystemRandom))).await;
    assert!(matches!(found.expect("answers soon"), Err(StoreError::Unavailable(_))));
    let keys = timeout(SOON, store.load()).await.expect("answers soon");
    assert!(matches!(keys, Err(StoreError::Unavailable(_))), "{keys:?}");
    let health = timeout(SOON, store.ping()).await.expect("answers soon");
    let Err(error @ StoreError::Unavailable(_)) = health else { panic!("{health:?}") };
    assert!(!error.to_string().contains("127.0.0.1"), "hosts stay in the source: {error}");

    let _link = Link::listen(address, &link.server).await;
    let back = async { while store.ping().await.is_err() {} };
    timeout(Duration::from_secs(30), back).await.expect("the store comes back by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_one_sentence_soon() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("mongodb://user:s3cret@{free}/doorward");
    let refused =
        timeout(SOON, MongoStore::connect(&url)).await.expect("answers soon").map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::NoPrimary), "{refused:?}");
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
}

#[tokio::test]
async fn what_is_no_url_is_refused_without_repeating_it() {
    for url in ["mongodb://", "mongodb://user:s3cret@host:port", "mongodb+srv://user:s3cret@host.example/x"] {
        let refused = MongoStore::connect(url).await.map(drop).unwrap_err();
        assert!(matches!(refused, OpenError::Url), "{url}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{refused:?}");
    }
}

/// Whatever is in the database already: else a failure would take longer the more there is, and for unknown users alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_login_scans_no_collection() {
    let fixture = Mongo::start().await;
    let store = fixture.open().await;
    let account = account();
    store.insert(&account, &quiet()).await.unwrap();
    let database = Client::with_uri_str(&fixture.url).await.unwrap().default_database().unwrap();
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    for user in [Some(account.user.id), None] {
        let context = RequestContext::default();
        let failure = Some(LoginFailure::UnknownAccount);
        let entry = LoginEntry::new(SystemClock.now(), &context, failure, &SystemRandom);
        let told = Event::LoginFailed { reason: "unknown_account", address: None, user_agent: None };
        store.failed(user, &quiet().tell(told).remember(entry)).await.unwrap();
    }
    let seen = async |plan: Document| {
        let profile = database.collection::<Document>("system.profile");
        profile
            .count_documents(doc! { "ns": { "$regex": "(logins|outbox|users)$" }, "$and": [plan] })
            .await
            .unwrap()
    };
    assert!(seen(doc! {}).await >= 5, "two are looked for and written down, one is told");
    assert_eq!(seen(doc! { "planSummary": "COLLSCAN" }).await, 0);
}

/// A line to the server that can be cut.
struct Link {
    url: String,
    server: String,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Link {
    async fn to(url: &str) -> Self {
        let rest = url.strip_prefix("mongodb://").unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let database = path.split('?').next().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (address, task) = Self::listen(any, server).await;
        let url = format!("mongodb://{address}/{database}?directConnection=true");
        Self { url, server: server.to_owned(), address, task }
    }

    async fn listen(address: SocketAddr, server: &str) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = server.to_owned();
        let task = tokio::spawn(async move {
            // The connections live as long as this task.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let server = server.clone();
                open.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        let _ended = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        (address, task)
    }

    /// Drops the listener and all connections; comes back when they are gone.
    async fn cut(&self) -> SocketAddr {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        self.address
    }
}
