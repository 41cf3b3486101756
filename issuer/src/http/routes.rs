use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Route, get};
use poem_openapi::{OpenApi, OpenApiService};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin_audit::AdminAuditApi;
use super::admin_roles::AdminRolesApi;
use super::admin_users::AdminUsersApi;
use super::admin_watch::AdminWatchApi;
use super::auth::AuthApi;
use super::docs;
use super::edge::Edge;
use super::flows::Flows;
use super::health::HealthApi;
use super::history::HistoryApi;
use super::keys::KeysApi;
use super::known::Known;
use super::mailed::MailedApi;
use super::management::{Guard, Ready, live};
use super::metadata::MetadataApi;
use super::metrics::Scrape;
use super::password::PasswordApi;
use super::revocations::Feed;
use super::sessions::SessionsApi;
use crate::config::Secret;
use crate::domain::administer_roles::AdministerRoles;
use crate::domain::administer_users::AdministerUsers;
use crate::domain::authenticate::Authenticate;
use crate::domain::change_password::ChangePassword;
use crate::domain::clock::{Clock, Random};
use crate::domain::login::Login;
use crate::domain::login_history::ReadHistory;
use crate::domain::outbox::Delivery;
use crate::domain::own_sessions::OwnSessions;
use crate::domain::password_reset::PasswordReset;
use crate::domain::ports::{Jwks, KeyAges, StoreHealth};
use crate::domain::read_alerts::ReadAlerts;
use crate::domain::read_audit::ReadAudit;
use crate::domain::refresh::Refresh;
use crate::domain::register::Register;
use crate::domain::revocation_feed::RevocationFeed;
use crate::domain::verify_email::VerifyEmail;
use crate::telemetry::metrics::Metrics;

/// What the two listeners need; made by the application.
pub struct Parts {
    /// Makes accounts.
    pub register: Arc<Register>,
    /// Whether strangers may register.
    pub registration_open: bool,
    /// Opens sessions.
    pub login: Arc<Login>,
    /// Keeps sessions going.
    pub refresh: Arc<Refresh>,
    /// Lets users see and end their sessions.
    pub own_sessions: Arc<OwnSessions>,
    /// Shows users who logged in as them.
    pub history: Arc<ReadHistory>,
    /// Gives users other passwords.
    pub change_password: Arc<ChangePassword>,
    /// Gives users who forgot theirs another one.
    pub password_reset: Arc<PasswordReset>,
    /// Lets users prove their addresses.
    pub verify_email: Arc<VerifyEmail>,
    /// Tells gateways which tokens are dead.
    pub revocations: Arc<RevocationFeed>,
    /// Lets administrators see and change users.
    pub administer_users: Arc<AdministerUsers>,
    /// Lets administrators see and change roles.
    pub administer_roles: Arc<AdministerRoles>,
    /// Lets those who may see what somebody should look at.
    pub read_alerts: Arc<ReadAlerts>,
    /// Lets auditors see what administrators did.
    pub read_audit: Arc<ReadAudit>,
    /// Knows bearers.
    pub authenticate: Arc<Authenticate>,
    /// The public keys.
    pub jwks: Arc<dyn Jwks>,
    /// The claim `iss`.
    pub issuer: String,
    /// Whether the store answers.
    pub store: Arc<dyn StoreHealth>,
    /// How telling the rest of the system goes.
    pub delivery: watch::Receiver<Delivery>,
    /// For request ids.
    pub random: Arc<dyn Random>,
    /// For the age of keys.
    pub clock: Arc<dyn Clock>,
    /// What is counted and measured.
    pub metrics: Arc<Metrics>,
    /// How old the keys are.
    pub key_ages: Arc<dyn KeyAges>,
    /// How many proxies in front are believed.
    pub trusted_hops: usize,
    /// The bearer of the management listener.
    pub management_token: Option<Arc<Secret>>,
    /// Flows that outlive their request.
    pub flows: TaskTracker,
    /// Cancelled when the process is about to end.
    pub draining: CancellationToken,
}

impl Parts {
    /// The public listener. These are operations of the OpenAPI document, which is `/openapi.json` for machines and
    /// `/docs` for people:
    ///
    /// - `/auth/register`, `/auth/login`, `/auth/me`, `/auth/validate`;
    /// - `/auth/refresh`, `/auth/logout`, `/auth/logout-all`, `/auth/sessions`, `/auth/sessions/{sid}`;
    /// - `/auth/login-history`;
    /// - `/auth/change-password`;
    /// - `/auth/password-reset`, `/auth/password-reset/confirm`, `/auth/verify-email`, `/auth/verify-email/resend`;
    /// - `/admin/users`, `/admin/users/{id}` and what is below it, `/admin/roles`, `/admin/roles/{name}`, `/admin/audit`,
    ///   `/admin/alerts`;
    /// - `/.well-known/jwks.json`, `/.well-known/oauth-authorization-server`, `/health`.
    pub fn public(&self) -> impl Endpoint + 'static {
        let operations = self.operations();
        let pages = public_pages(&operations);
        let known = Known::of::<Operations>(&paths(&pages));
        let routes = readable(pages).nest("/", operations).data(self.authenticate.clone());
        routes.with(known).with(self.edge())
    }

    /// The management listener.
    pub fn management(&self) -> impl Endpoint + 'static {
        let pages = self.management_pages();
        let known = Known::of::<()>(&paths(&pages));
        readable(pages).with(Guard(self.management_token.clone())).with(known).with(self.edge())
    }

    /// Every route as `METHOD /path`: the public listener's, and the management listener's.
    pub fn routes(&self) -> [Vec<String>; 2] {
        let read = |pages: &[Page]| paths(pages).into_iter().map(|path| format!("GET {path}")).collect();
        let mut public: Vec<String> = read(&public_pages(&self.operations()));
        for path in Operations::meta().into_iter().flat_map(|api| api.paths) {
            public.extend(
                path.operations.iter().map(|operation| format!("{} {}", operation.method, path.path)),
            );
        }
        [public, read(&self.management_pages())]
    }

    fn operations(&self) -> OpenApiService<Operations, ()> {
        let flows = Flows(self.flows.clone());
        let auth = AuthApi {
            register: self.register.clone(),
            registration_open: self.registration_open,
            login: self.login.clone(),
            authenticate: self.authenticate.clone(),
            metrics: self.metrics.clone(),
            flows: flows.clone(),
        };
        let sessions = SessionsApi {
            refresh: self.refresh.clone(),
            own_sessions: self.own_sessions.clone(),
            metrics: self.metrics.clone(),
            flows: flows.clone(),
        };
        let history = HistoryApi { history: self.history.clone() };
        let password = PasswordApi { change_password: self.change_password.clone(), flows: flows.clone() };
        let mailed = MailedApi {
            password_reset: self.password_reset.clone(),
            verify_email: self.verify_email.clone(),
            flows: flows.clone(),
        };
        let users = AdminUsersApi { users: self.administer_users.clone(), flows: flows.clone() };
        let roles = AdminRolesApi { roles: self.administer_roles.clone(), flows: flows.clone() };
        let watch = AdminWatchApi {
            alerts: self.read_alerts.clone(),
            history: self.history.clone(),
            users: self.administer_users.clone(),
            flows,
        };
        let audit = AdminAuditApi { audit: self.read_audit.clone() };
        let keys = KeysApi { jwks: self.jwks.clone() };
        let health = HealthApi { store: self.store.clone(), delivery: self.delivery.clone() };
        let metadata = MetadataApi { issuer: self.issuer.clone() };
        let operations: Operations =
            (auth, sessions, history, password, mailed, users, roles, audit, watch, keys, metadata, health);
        OpenApiService::new(operations, docs::TITLE, env!("CARGO_PKG_VERSION"))
    }

    fn management_pages(&self) -> [Page; 4] {
        let ready = Ready {
            store: self.store.clone(),
            delivery: self.delivery.clone(),
            draining: self.draining.clone(),
        };
        let feed = Feed { feed: self.revocations.clone(), draining: self.draining.clone() };
        let scrape = Scrape {
            metrics: self.metrics.clone(),
            key_ages: self.key_ages.clone(),
            clock: self.clock.clone(),
        };
        [
            ("/health/live", live().map_to_response().boxed()),
            ("/health/ready", ready.boxed()),
            ("/metrics", scrape.boxed()),
            ("/revocations", feed.boxed()),
        ]
    }

    fn edge(&self) -> Edge {
        Edge {
            trusted_hops: self.trusted_hops,
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            draining: self.draining.clone(),
        }
    }
}

/// The OpenAPI document of the public listener.
pub fn openapi() -> String {
    docs::document::<Operations>()
}

type Operations = (
    AuthApi,
    SessionsApi,
    HistoryApi,
    PasswordApi,
    MailedApi,
    AdminUsersApi,
    AdminRolesApi,
    AdminAuditApi,
    AdminWatchApi,
    KeysApi,
    MetadataApi,
    HealthApi,
);

/// A path that can be read and nothing else.
type Page = (&'static str, BoxEndpoint<'static>);

fn public_pages(operations: &OpenApiService<Operations, ()>) -> [Page; 2] {
    [
        ("/openapi.json", docs::specification(openapi()).map_to_response().boxed()),
        ("/docs", docs::page(operations.swagger_ui_html()).map_to_response().boxed()),
    ]
}

fn paths(pages: &[Page]) -> Vec<&'static str> {
    pages.iter().map(|(path, _)| *path).collect()
}

fn readable(pages: impl IntoIterator<Item = Page>) -> Route {
    pages.into_iter().fold(Route::new(), |routes, (path, page)| routes.at(path, get(page)))
}
