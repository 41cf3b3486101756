use std::sync::Arc;

use poem::{Endpoint, EndpointExt, Route, get};
use poem_openapi::OpenApiService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::allow::Allow;
use super::auth::AuthApi;
use super::docs;
use super::edge::Edge;
use super::flows::Flows;
use super::health::HealthApi;
use super::keys::KeysApi;
use super::management::{Guard, Ready, live};
use super::password::PasswordApi;
use super::sessions::SessionsApi;
use crate::config::Secret;
use crate::domain::authenticate::Authenticate;
use crate::domain::change_password::ChangePassword;
use crate::domain::clock::Random;
use crate::domain::login::Login;
use crate::domain::own_sessions::OwnSessions;
use crate::domain::ports::{Jwks, StoreHealth};
use crate::domain::refresh::Refresh;
use crate::domain::register::Register;

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
    /// Gives users other passwords.
    pub change_password: Arc<ChangePassword>,
    /// Knows bearers.
    pub authenticate: Arc<Authenticate>,
    /// The public keys.
    pub jwks: Arc<dyn Jwks>,
    /// Whether the store answers.
    pub store: Arc<dyn StoreHealth>,
    /// For request ids.
    pub random: Arc<dyn Random>,
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
    /// - `/auth/change-password`;
    /// - `/.well-known/jwks.json`, `/health`.
    pub fn public(&self) -> impl Endpoint + 'static {
        let flows = Flows(self.flows.clone());
        let auth = AuthApi {
            register: self.register.clone(),
            registration_open: self.registration_open,
            login: self.login.clone(),
            authenticate: self.authenticate.clone(),
            flows: flows.clone(),
        };
        let sessions = SessionsApi {
            refresh: self.refresh.clone(),
            own_sessions: self.own_sessions.clone(),
            flows: flows.clone(),
        };
        let password = PasswordApi { change_password: self.change_password.clone(), flows };
        let keys = KeysApi { jwks: self.jwks.clone() };
        let health = HealthApi { store: self.store.clone() };
        let operations = OpenApiService::new(
            (auth, sessions, password, keys, health),
            "Doorward",
            env!("CARGO_PKG_VERSION"),
        );
        Route::new()
            .at("/openapi.json", get(docs::specification(operations.spec())))
            .at("/docs", get(docs::page(operations.swagger_ui_html())))
            .nest("/", operations)
            .data(self.authenticate.clone())
            .with(Allow::of::<(AuthApi, SessionsApi, PasswordApi, KeysApi, HealthApi)>(&[
                "/openapi.json",
                "/docs",
            ]))
            .with(self.edge())
    }

    /// The management listener.
    pub fn management(&self) -> impl Endpoint + 'static {
        let ready = Ready { store: self.store.clone(), draining: self.draining.clone() };
        Route::new()
            .at("/health/live", get(live()))
            .at("/health/ready", get(ready))
            .with(Guard(self.management_token.clone()))
            .with(Allow::of::<()>(&["/health/live", "/health/ready"]))
            .with(self.edge())
    }

    fn edge(&self) -> Edge {
        Edge { trusted_hops: self.trusted_hops, random: self.random.clone() }
    }
}
