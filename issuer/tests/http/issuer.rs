use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_issuer::app::App;
use doorward_issuer::app::listen::Listeners;
use doorward_issuer::config::{Config, LogFormat};
use doorward_issuer::domain::clock::{Clock, SystemClock, SystemRandom};
use doorward_issuer::telemetry;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::wire::{Answer, send};

pub(crate) const PASSWORD: &str = "S3cureP@ss";

/// An issuer of the test's own, with a database in a folder of its own, on free ports.
pub(crate) struct Issuer {
    pub(crate) public: SocketAddr,
    pub(crate) management: SocketAddr,
    pub(crate) clock: Arc<MovableClock>,
    /// `METHOD /path` of the public listener, and of the management listener.
    pub(crate) routes: [Vec<String>; 2],
    folder: tempfile::TempDir,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings: `section.key` and value.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        logs();
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder.path().join("issuer.db"), settings);
        let clock = Arc::new(MovableClock::default());
        let (ready, started) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn({
            let clock = clock.clone();
            move || run(&config, clock, &ready, ended)
        });
        let (public, management, routes) = started.recv().expect("the issuer starts");
        Self { public, management, clock, routes, folder, end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("issuer.db")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.public, &format!("GET {path}"), headers, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        send(self.public, &format!("POST {path}"), &headers, body.as_bytes())
    }

    /// Registers somebody with [`PASSWORD`].
    #[track_caller]
    pub(crate) fn register(&self, email: &str) -> Value {
        let answer = self.post("/auth/register", &json!({"email": email, "password": PASSWORD}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Logs in with [`PASSWORD`].
    #[track_caller]
    pub(crate) fn login(&self, email: &str) -> Value {
        let answer = self.post("/auth/login", &json!({"email": email, "password": PASSWORD}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Gives a user roles behind the issuer's back: in a new database there is nobody who could.
    pub(crate) fn give_roles(&self, email: &str, roles: &[&str]) {
        let mut database = rusqlite::Connection::open(self.database()).unwrap();
        let change = database.transaction().unwrap();
        let id: Vec<u8> =
            change.query_row("SELECT id FROM users WHERE email = ?", [email], |row| row.get(0)).unwrap();
        change.execute("DELETE FROM user_roles WHERE user = ?", [&id]).unwrap();
        for (position, role) in roles.iter().enumerate() {
            let position = i64::try_from(position).unwrap();
            change.execute("INSERT INTO user_roles VALUES (?, ?, ?)", (&id, position, role)).unwrap();
        }
        change.commit().unwrap();
    }

    /// Registers somebody who has these roles, and logs in: an access token.
    pub(crate) fn somebody_with(&self, email: &str, roles: &[&str]) -> String {
        self.register(email);
        self.give_roles(email, roles);
        self.token(email)
    }

    /// Logs in: an access token.
    pub(crate) fn token(&self, email: &str) -> String {
        self.login(email)["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends a request as the bearer of that token; without a body if it is null.
    pub(crate) fn ask(&self, token: &str, line: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.public, line, &headers, body.as_bytes())
    }

    /// `GET /auth/me` with that token.
    pub(crate) fn me(&self, token: &str) -> Answer {
        self.get_with("/auth/me", &[("authorization", &format!("Bearer {token}"))])
    }
}

/// Ends the issuer as SIGTERM would, and finds out whether it ended well.
impl Drop for Issuer {
    fn drop(&mut self) {
        let _ended = self.end.take().map(|end| end.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the issuer did not end well");
        }
    }
}

/// The system's clock, moved on as a test likes.
#[derive(Default)]
pub(crate) struct MovableClock {
    ahead_by_seconds: AtomicI64,
}

impl MovableClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_by_seconds.fetch_add(by.as_secs().try_into().unwrap(), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.ahead_by_seconds.load(Ordering::SeqCst))
    }
}

/// What a token says.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// `GET /metrics`, without a token.
#[track_caller]
pub(crate) fn metrics(issuer: &Issuer) -> String {
    let answer = send(issuer.management, "GET /metrics", &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Everything that any issuer of this test program logged so far.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&logs().0.lock().unwrap()).into_owned()
}

/// The log line of that request, once it is there.
pub(crate) fn log_line(request_id: &str) -> Value {
    eventually("the request's log line", || {
        logged()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["request_id"] == request_id && line["message"] == "request")
    })
}

/// Waits for a condition, with a deadline.
#[expect(clippy::disallowed_methods, reason = "the one loop of these tests that waits for conditions")]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The settings of a test's issuer.
pub(crate) fn config(database: &std::path::Path, settings: &[(&str, &str)]) -> Config {
    let url = format!("sqlite://{}", database.display());
    let own = [
        ("server.public", "127.0.0.1:0"),
        ("server.management", "127.0.0.1:0"),
        ("store.url", url.as_str()),
        ("password.cost", "4"),
    ];
    // Later ones win, as with repeated variables.
    let variables = own.iter().chain(settings).map(|(key, value)| {
        let name = format!("DOORWARD_{}", key.replace('.', "__").to_uppercase());
        (name.into(), (*value).into())
    });
    Config::read(None, variables).unwrap()
}

fn run(
    config: &Config,
    clock: Arc<MovableClock>,
    ready: &mpsc::Sender<(SocketAddr, SocketAddr, [Vec<String>; 2])>,
    ended: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let app = App::open_with(config, clock, Arc::new(SystemRandom)).await.unwrap();
        let listeners = Listeners::bind(&config.server).await.unwrap();
        let routes = app.parts.routes();
        ready.send((listeners.public_address, listeners.management_address, routes)).unwrap();
        app.run(listeners, async { drop(ended.await) }).await.unwrap();
    });
}

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// At the most talkative level, so that nothing can hide below it.
fn logs() -> &'static Logs {
    static LOGS: OnceLock<Logs> = OnceLock::new();
    LOGS.get_or_init(|| {
        let logs = Logs::default();
        let writer = logs.clone();
        let subscriber =
            telemetry::subscriber("debug,doorward_issuer=trace", LogFormat::Json, move || writer.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        logs
    })
}
