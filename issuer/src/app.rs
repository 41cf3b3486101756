//! The application: builds every part from the configuration and joins them. The only place that sees all of them.

/// Connections, also when there are none left to give.
mod acceptor;
/// Accounts by themselves, for the command line.
pub mod accounts;
/// What the listeners know about a connection that their server does not.
mod connection;
/// Looks after the key ring while the issuer runs.
mod keep_keys;
/// The key ring by itself, for the command line.
pub mod key_ring;
/// The listeners, from binding to draining.
pub mod listen;
/// Writing mails, and sending them.
mod mails;
/// The master key of a database that has none configured.
mod master_key;
/// The roles that exist from the start.
mod roles;
/// Which store, and its ports.
mod stores;
/// Telling the rest of the system, from start to end.
pub mod telling;
/// What the parts tell the metrics.
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use self::listen::{Listeners, termination};
use self::mails::Mails;
pub use self::master_key::MasterKeyError;
use self::stores::Stores;
use self::telling::Telling;
use crate::config::{Algorithm, Config, Password, Secret, Token};
use crate::crypto::blinder::KeyedBlinder;
use crate::crypto::keeper::RingKeeper;
use crate::crypto::password::BcryptHasher;
use crate::crypto::pool::{Pool, PoolSettings};
use crate::crypto::refresh::RefreshMint;
use crate::crypto::ring::RingError;
use crate::crypto::signer::{ShortSecret, Signer, SignerSettings, Signing};
use crate::domain::administer_roles::AdministerRoles;
use crate::domain::administer_users::AdministerUsers;
use crate::domain::authenticate::Authenticate;
use crate::domain::change_password::ChangePassword;
use crate::domain::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::domain::grant::Grant;
use crate::domain::guard::Guard;
use crate::domain::keys::SigningAlgorithm;
use crate::domain::login::Login;
use crate::domain::login_history::ReadHistory;
use crate::domain::own_sessions::OwnSessions;
use crate::domain::password_reset::PasswordReset;
use crate::domain::policy::PasswordPolicy;
use crate::domain::read_alerts::ReadAlerts;
use crate::domain::read_audit::ReadAudit;
use crate::domain::refresh::Refresh;
use crate::domain::register::Register;
use crate::domain::revocation_feed::RevocationFeed;
use crate::domain::session::SessionLimits;
use crate::domain::verify_email::VerifyEmail;
use crate::http::routes::Parts;
use crate::mail::sender::{MailSender, MailSenderError};
use crate::store::OpenError;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::with_causes;

/// The issuer, ready to work.
pub struct App {
    /// Makes accounts.
    pub register: Arc<Register>,
    /// What the listeners need.
    pub parts: Parts,
    ring: Arc<RingKeeper>,
    telling: Arc<Telling>,
    mail_sender: Option<Arc<MailSender>>,
}

/// Why the issuer does not start; one sentence that says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error("{}", with_causes(.0))]
    Store(#[from] OpenError),
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The key ring cannot be opened.
    #[error("{}", with_causes(.0))]
    Ring(#[from] RingError),
    /// Tokens cannot be signed.
    #[error(transparent)]
    Signer(#[from] ShortSecret),
    /// The password pool has no threads.
    #[error("the password threads cannot start ({0}); lower password.threads or raise the limit on threads")]
    Pool(std::io::Error),
    /// Mails cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailSenderError),
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address} ({source}); free the address or choose another")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A listener broke.
    #[error("the listeners broke ({0}); start again")]
    Serve(std::io::Error),
}

/// Answers requests until SIGTERM or Ctrl-C.
///
/// # Errors
/// See [`StartError`].
pub async fn serve(config: &Config) -> Result<(), StartError> {
    let end = termination()?;
    let app = App::open(config).await?;
    if config.confirm_email && !config.require_verified_email {
        tracing::warn!("registration.confirm_email hides little while login.require_verified_email is off");
    }
    app.run(Listeners::bind(&config.server).await?, end).await
}

impl App {
    /// Opens the store and the key ring, and builds the flows.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        Self::open_with(config, Arc::new(SystemClock), Arc::new(SystemRandom)).await
    }

    /// Like [`open`](Self::open), with a clock and dice of the caller's.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open_with(
        config: &Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let stores = Stores::open(&config.store, metrics.clone()).await?;
        roles::ensure(&*stores.roles, &config.roles).await.map_err(OpenError::from)?;
        let means = key_ring::means(config, stores.keys.clone(), clock.clone(), random.clone())?;
        let ring = Arc::new(RingKeeper::open(means).await?);
        let signing = signing(&config.token);
        let signer = Arc::new(Signer::new(ring.clone(), &signing, signer_settings(&config.token))?);
        let pool = Pool::start_watched(pool_settings(&config.password), metrics.clone());
        let pool = pool.map_err(StartError::Pool)?;
        let hasher = Arc::new(BcryptHasher::new(pool, ring.clone(), config.password.cost, random.clone()));
        let refresh_tokens = Arc::new(RefreshMint::new(ring.clone(), random.clone()));

        let policy = password_policy(&config.password);
        let grant = Arc::new(Grant {
            access_tokens: signer.clone(),
            access_lifetime: config.token.access_ttl,
            random: random.clone(),
        });

        let guard = Arc::new(Guard {
            attempts: stores.attempts.clone(),
            blinder: Arc::new(KeyedBlinder::new(ring.clone())),
            limits: config.limits.clone(),
            clock: clock.clone(),
        });
        let Mails { post, tokens, sender: mail_sender, relay: mail_relay } =
            mails::open(config.mail.as_ref(), &stores, &ring, &guard, (&clock, &random), &metrics)?;

        let register = Arc::new(Register {
            users: stores.users.clone(),
            roles: stores.roles.clone(),
            hasher: hasher.clone(),
            policy: policy.clone(),
            default_roles: vec![roles::user()],
            post: post.clone(),
            hide_taken: config.confirm_email,
            clock: clock.clone(),
            random: random.clone(),
        });
        let login = Arc::new(Login {
            users: stores.users.clone(),
            roles: stores.roles.clone(),
            sessions: stores.sessions.clone(),
            history: stores.history.clone(),
            guard: guard.clone(),
            hasher: hasher.clone(),
            refresh_tokens: refresh_tokens.clone(),
            grant: grant.clone(),
            require_verified_email: config.require_verified_email,
            session_limits: SessionLimits { idle: config.token.refresh_ttl, whole: config.token.session_ttl },
            hours: config.alert_hours,
            clock: clock.clone(),
            random: random.clone(),
        });
        let refresh = Arc::new(Refresh {
            sessions: stores.sessions.clone(),
            refresh_tokens: refresh_tokens.clone(),
            grant,
            idle: config.token.refresh_ttl,
            clock: clock.clone(),
        });
        let own_sessions =
            Arc::new(OwnSessions { sessions: stores.sessions.clone(), refresh_tokens, clock: clock.clone() });
        let change_password = Arc::new(ChangePassword {
            users: stores.users.clone(),
            guard: guard.clone(),
            history: stores.history.clone(),
            hasher: hasher.clone(),
            policy: policy.clone(),
            clock: clock.clone(),
        });
        let password_reset = Arc::new(PasswordReset {
            users: stores.users.clone(),
            guard: guard.clone(),
            letters: stores.letters.clone(),
            tokens: tokens.clone(),
            hasher,
            policy,
            post: post.clone(),
            clock: clock.clone(),
        });
        let verify_email =
            Arc::new(VerifyEmail { letters: stores.letters, tokens, post, clock: clock.clone() });
        let administer_users = Arc::new(AdministerUsers {
            users: stores.users.clone(),
            roles: stores.roles.clone(),
            sessions: stores.sessions.clone(),
            register: register.clone(),
            guard: guard.clone(),
            clock: clock.clone(),
            random: random.clone(),
        });
        let administer_roles = Arc::new(AdministerRoles {
            roles: stores.roles.clone(),
            kept: vec![roles::user(), roles::admin()],
            clock: clock.clone(),
            random: random.clone(),
        });
        let history = Arc::new(ReadHistory { history: stores.history, users: stores.users.clone() });
        let authenticate = Arc::new(Authenticate {
            access_tokens: signer.clone(),
            sessions: stores.sessions,
            clock: clock.clone(),
        });
        let revocations = Arc::new(RevocationFeed::new(stores.revocations, clock.clone()));
        let edges = (clock.clone(), random.clone());
        if mail_sender.is_none() && mail_relay.is_none() {
            tracing::info!("mail.smtp_url is not set: no mail goes out");
        }
        let telling = Arc::new(Telling::new(config, mail_relay, stores.outbox, edges, metrics.clone()));
        let parts = Parts {
            register: register.clone(),
            registration_open: config.registration_open,
            login,
            refresh,
            own_sessions,
            history,
            change_password,
            password_reset,
            verify_email,
            revocations,
            administer_users,
            administer_roles,
            read_alerts: Arc::new(ReadAlerts { alerts: stores.alerts }),
            read_audit: Arc::new(ReadAudit { audit: stores.audit }),
            authenticate,
            jwks: signer,
            issuer: config.token.issuer.clone(),
            store: stores.health,
            delivery: telling.health.clone(),
            random,
            clock,
            metrics,
            key_ages: ring.clone(),
            trusted_hops: config.server.trusted_hops,
            management_token: config.server.management_token.clone().map(Arc::new),
            flows: TaskTracker::new(),
            draining: CancellationToken::new(),
        };
        Ok(Self { register, parts, ring, telling, mail_sender: mail_sender.map(Arc::new) })
    }

    /// Answers requests until `end`, keeps the key ring, tells what happens, and sends mails.
    ///
    /// # Errors
    /// When a listener breaks.
    pub async fn run(&self, listeners: Listeners, end: impl Future<Output = ()>) -> Result<(), StartError> {
        let keeping = tokio::spawn(keep_keys::keep(self.ring.clone(), self.parts.metrics.clone()));
        let telling = self.telling.clone().start();
        if let Some(sender) = self.mail_sender.clone() {
            let draining = self.parts.draining.clone();
            // The end waits for it, as for every flow that writes.
            self.parts.flows.spawn(async move { sender.run(draining.cancelled_owned()).await });
        }
        let ended = listeners.run(&self.parts, end).await;
        keeping.abort();
        telling.stop().await;
        ended
    }
}

fn signing(settings: &Token) -> Signing {
    match (settings.algorithm, &settings.secret) {
        (Algorithm::Rs256, _) => Signing::Ring(SigningAlgorithm::Rs256),
        (Algorithm::EdDsa, _) => Signing::Ring(SigningAlgorithm::EdDsa),
        (Algorithm::Hs256, Some(secret)) => {
            let bytes = |secret: &Secret| Zeroizing::new(secret.expose().as_bytes().to_vec());
            Signing::Shared { secret: bytes(secret), old: settings.old_secret.as_ref().map(bytes) }
        }
        (Algorithm::Es256, _) | (Algorithm::Hs256, None) => Signing::Ring(SigningAlgorithm::Es256),
    }
}

fn signer_settings(settings: &Token) -> SignerSettings {
    SignerSettings {
        issuer: settings.issuer.clone(),
        audiences: settings.audiences.clone(),
        client_id: settings.client_id.clone(),
    }
}

fn pool_settings(settings: &Password) -> PoolSettings {
    let default = PoolSettings::default();
    PoolSettings { threads: settings.threads.unwrap_or(default.threads), queue: settings.queue, ..default }
}

fn password_policy(settings: &Password) -> PasswordPolicy {
    PasswordPolicy::new(settings.min_length, settings.min_score, settings.blocklist.iter().cloned())
}
