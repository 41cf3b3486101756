use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_issuer::crypto::blinder::KeyedBlinder;
use doorward_issuer::crypto::keeper::{RingKeeper, RingMeans};
use doorward_issuer::crypto::mail_sealer::MailSealer;
use doorward_issuer::crypto::master_key::MasterKey;
use doorward_issuer::crypto::one_time::OneTimeMint;
use doorward_issuer::crypto::password::BcryptHasher;
use doorward_issuer::crypto::pool::{Pool, PoolSettings};
use doorward_issuer::crypto::refresh::RefreshMint;
use doorward_issuer::crypto::signer::{Signer, SignerSettings, Signing};
use doorward_issuer::domain::authenticate::{AuthError, Authenticate, Caller};
use doorward_issuer::domain::change_password::{ChangePassword, ChangePasswordError, PasswordChangeRequest};
use doorward_issuer::domain::clock::{Clock, SystemClock, SystemRandom, later, random_uuid};
use doorward_issuer::domain::context::RequestContext;
use doorward_issuer::domain::grant::Grant;
use doorward_issuer::domain::guard::{Guard, Limits};
use doorward_issuer::domain::keys::SigningAlgorithm;
use doorward_issuer::domain::keys::rules::RingRules;
use doorward_issuer::domain::login::{Login, LoginError, LoginRequest};
use doorward_issuer::domain::mail::Mail;
use doorward_issuer::domain::outbox::fate::Fate;
use doorward_issuer::domain::outbox::{Channel, Claim};
use doorward_issuer::domain::own_sessions::OwnSessions;
use doorward_issuer::domain::password::Password;
use doorward_issuer::domain::password_reset::PasswordReset;
use doorward_issuer::domain::policy::PasswordPolicy;
use doorward_issuer::domain::ports::{Outbox, PasswordHasher, Sealer, Store};
use doorward_issuer::domain::post::Post;
use doorward_issuer::domain::refresh::{Refresh, RefreshError, RefreshRefusal};
use doorward_issuer::domain::register::{NewUserRequest, Register, RegisterError};
use doorward_issuer::domain::role::{Permission, Role};
use doorward_issuer::domain::session::SessionLimits;
use doorward_issuer::domain::token::Tokens;
use doorward_issuer::domain::user::User;
use doorward_issuer::domain::username::LoginName;
use doorward_issuer::domain::verify_email::VerifyEmail;
use jiff::Timestamp;

use crate::fixture::role_name;

pub(crate) const PASSWORD: &str = "S3cureP@ss";
/// How long sessions of a test's issuer may be idle, and how long they live.
pub(crate) const LIMITS: SessionLimits =
    SessionLimits { idle: Duration::from_secs(3600), whole: Duration::from_secs(7200) };
/// How long its access tokens are good.
pub(crate) const ACCESS: Duration = Duration::from_secs(900);

/// The flows, wired as the application wires them: one process of an issuer.
pub(crate) struct Issuer {
    pub(crate) register: Register,
    pub(crate) login: Login,
    pub(crate) guard: Arc<Guard>,
    pub(crate) authenticate: Authenticate,
    pub(crate) refresh: Refresh,
    pub(crate) own_sessions: OwnSessions,
    pub(crate) change_password: ChangePassword,
    pub(crate) password_reset: PasswordReset,
    pub(crate) verify_email: VerifyEmail,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) refresh_tokens: Arc<RefreshMint>,
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) ring: Arc<RingKeeper>,
    pub(crate) jwks: Arc<Signer>,
}

impl Issuer {
    pub(crate) async fn on(store: impl Store + 'static, cost: u32) -> Self {
        Self::with_master(store, cost, Arc::new(MasterKey::generate(&SystemRandom))).await
    }

    /// Another process, or the same one after a restart, if store and master key are the same.
    pub(crate) async fn with_master(store: impl Store + 'static, cost: u32, master: Arc<MasterKey>) -> Self {
        Self::over(Arc::new(store), cost, master).await
    }

    /// The same on ports of any kind, such as ports that are watched.
    pub(crate) async fn over(store: Arc<impl Store + 'static>, cost: u32, master: Arc<MasterKey>) -> Self {
        for (name, permissions) in [("user", ["profile:read"]), ("admin", ["users:read"])] {
            let permissions = permissions.map(|name| Permission::parse(name).unwrap()).into();
            let role = Role { name: role_name(name), description: String::new(), permissions };
            store.ensure(&role).await.unwrap();
        }
        let (clock, random) = (Arc::new(MovableClock::default()), Arc::new(SystemRandom));
        let algorithm = SigningAlgorithm::Es256;
        let means = RingMeans {
            store: store.clone(),
            master,
            rules: RingRules {
                signing: Some(algorithm),
                rotate_every: Duration::from_hours(24 * 30),
                session: LIMITS.whole,
            },
            clock: clock.clone(),
            random: random.clone(),
        };
        let ring = Arc::new(RingKeeper::open(means).await.unwrap());
        let settings = SignerSettings {
            issuer: "https://auth.example.test".into(),
            audiences: vec!["api".into()],
            client_id: "first-party".into(),
        };
        let signer = Arc::new(Signer::new(ring.clone(), &Signing::Ring(algorithm), settings).unwrap());
        // However busy the machine is: the tests are not about that.
        let patient = PoolSettings { deadline: Duration::from_secs(60), ..PoolSettings::default() };
        let pool = Pool::start(patient).unwrap();
        let hasher: Arc<dyn PasswordHasher> =
            Arc::new(BcryptHasher::new(pool, ring.clone(), cost, random.clone()));
        let refresh_tokens = Arc::new(RefreshMint::new(ring.clone(), random.clone()));
        let grant = Arc::new(Grant {
            access_tokens: signer.clone(),
            access_lifetime: ACCESS,
            random: random.clone(),
        });
        let guard = Arc::new(Guard {
            attempts: store.clone(),
            blinder: Arc::new(KeyedBlinder::new(ring.clone())),
            limits: Limits::default(),
            clock: clock.clone(),
        });
        let tokens = Arc::new(OneTimeMint::new(random.clone()));
        let sealer = Arc::new(MailSealer::new(ring.clone(), random.clone()));
        let post = Some(Arc::new(Post {
            users: store.clone(),
            letters: store.clone(),
            tokens: tokens.clone(),
            sealer: sealer.clone(),
            guard: guard.clone(),
            random: random.clone(),
        }));
        let register = Register {
            users: store.clone(),
            roles: store.clone(),
            hasher: hasher.clone(),
            policy: PasswordPolicy::default(),
            default_roles: vec![role_name("user")],
            post: post.clone(),
            hide_taken: false,
            clock: clock.clone(),
            random: random.clone(),
        };
        let login = Login {
            users: store.clone(),
            roles: store.clone(),
            sessions: store.clone(),
            history: store.clone(),
            guard: guard.clone(),
            hasher: hasher.clone(),
            refresh_tokens: refresh_tokens.clone(),
            grant: grant.clone(),
            require_verified_email: false,
            session_limits: LIMITS,
            hours: None,
            clock: clock.clone(),
            random,
        };
        let refresh = Refresh {
            sessions: store.clone(),
            refresh_tokens: refresh_tokens.clone(),
            grant,
            idle: LIMITS.idle,
            clock: clock.clone(),
        };
        let own_sessions = OwnSessions {
            sessions: store.clone(),
            refresh_tokens: refresh_tokens.clone(),
            clock: clock.clone(),
        };
        let change_password = ChangePassword {
            users: store.clone(),
            guard: guard.clone(),
            history: store.clone(),
            hasher: hasher.clone(),
            policy: PasswordPolicy::default(),
            clock: clock.clone(),
        };
        let password_reset = PasswordReset {
            users: store.clone(),
            guard: guard.clone(),
            letters: store.clone(),
            tokens: tokens.clone(),
            hasher,
            policy: PasswordPolicy::default(),
            post: post.clone(),
            clock: clock.clone(),
        };
        let verify_email = VerifyEmail { letters: store.clone(), tokens, post, clock: clock.clone() };
        let authenticate =
            Authenticate { access_tokens: signer.clone(), sessions: store.clone(), clock: clock.clone() };
        Self {
            register,
            login,
            guard,
            authenticate,
            refresh,
            own_sessions,
            change_password,
            password_reset,
            verify_email,
            outbox: store,
            sealer,
            refresh_tokens,
            clock,
            ring,
            jwks: signer,
        }
    }

    pub(crate) async fn register(
        &self,
        email: &str,
        password: &str,
        name: Option<&str>,
    ) -> Result<User, RegisterError> {
        let new = self.register.prepare(request(email, password, name), &RequestContext::default()).await?;
        self.register.add(new, &RequestContext::default()).await
    }

    pub(crate) async fn log_in(&self, login: &str, password: &str) -> Result<Tokens, LoginError> {
        self.log_in_from(&RequestContext::default(), login, password).await
    }

    pub(crate) async fn log_in_from(
        &self,
        context: &RequestContext,
        login: &str,
        password: &str,
    ) -> Result<Tokens, LoginError> {
        let (name, typed) = (LoginName::parse(login), login.to_owned());
        let password = Password::new(password.to_owned());
        let checked = self.login.check(LoginRequest { name, typed, password }, context).await?;
        self.login.finish(checked, context).await
    }

    /// Somebody new who has logged in.
    pub(crate) async fn newcomer(&self, email: &str) -> Tokens {
        self.register(email, PASSWORD, None).await.unwrap();
        self.log_in(email, PASSWORD).await.unwrap()
    }

    pub(crate) async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, RefreshError> {
        self.refresh.refresh(tokens.refresh_token.expose(), &RequestContext::default()).await
    }

    /// Refreshes, and is refused.
    pub(crate) async fn refusal(&self, tokens: &Tokens) -> RefreshRefusal {
        match self.refresh(tokens).await {
            Err(RefreshError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) async fn caller(&self, tokens: &Tokens) -> Result<Caller, AuthError> {
        self.authenticate.authenticate(&tokens.access_token).await
    }

    /// All mails that wait, taken out of the outbox; `None` for each that holds nothing.
    pub(crate) async fn mails(&self) -> Vec<Option<Mail>> {
        // Written a moment ago: due by now, whatever the milliseconds say.
        let now = later(self.clock.now(), Duration::from_secs(1));
        let (id, until) = (random_uuid(&SystemRandom), later(now, Duration::from_secs(60)));
        let claim = Claim { id, channel: Channel::Mail, now, until, limit: 100 };
        let claimed = self.outbox.claim(&claim).await.unwrap();
        let mut mails = Vec::new();
        for entry in &claimed.entries {
            mails.push(Mail::open(entry, &*self.sealer).await.unwrap());
        }
        let fates: Vec<_> = claimed.entries.iter().map(|entry| (entry.id, Fate::Removed)).collect();
        self.outbox.settle(&claimed, &fates, now).await.unwrap();
        mails
    }

    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        current: &str,
        new: &str,
    ) -> Result<Timestamp, ChangePasswordError> {
        let (current, new) = (Password::new(current.to_owned()), Password::new(new.to_owned()));
        let request = PasswordChangeRequest { current, new };
        let new = self.change_password.prepare(caller, request, &RequestContext::default()).await?;
        self.change_password.change(new, &RequestContext::default()).await
    }
}

pub(crate) fn request(email: &str, password: &str, username: Option<&str>) -> NewUserRequest {
    NewUserRequest {
        email: email.to_owned(),
        password: Password::new(password.to_owned()),
        username: username.map(str::to_owned),
    }
}

/// The system's clock, moved on as a test likes.
#[derive(Default)]
pub(crate) struct MovableClock {
    ahead_by_seconds: AtomicU64,
}

impl MovableClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_by_seconds.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        later(SystemClock.now(), Duration::from_secs(self.ahead_by_seconds.load(Ordering::SeqCst)))
    }
}
