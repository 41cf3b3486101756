//! Issuer, upstream and gateway together.

use std::path::{Path, PathBuf};

use crate::parts::envoy::Upstreams;
use crate::parts::issuer::Events;
use crate::parts::{Echo, Envoy, Issuer, Store, UserService, envoy, issuer};
use crate::ports::Port;
use crate::prepared::Programs;
use crate::progress::Progress;
use crate::{Result, files};

/// What stands behind the gateway at `/users`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// The example service.
    UserService,
    /// A recorder of what arrives.
    Echo,
}

/// What to start.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Where everything is written.
    pub dir: &'a Path,
    /// The programs.
    pub programs: &'a Programs,
    /// The gateway's port.
    pub gateway: Port,
    /// The issuer's port.
    pub issuer: Port,
    /// Where the issuer keeps its users.
    pub store: Store,
    /// What stands behind the gateway.
    pub behind: Behind,
    /// A cheap password hash, for tests alone.
    pub password_cost: Option<u8>,
    /// Worker threads of the gateway.
    pub concurrency: usize,
    /// Further settings of the issuer: `section.key` and value.
    pub settings: &'a [(&'a str, &'a str)],
    /// Who is told what happens.
    pub events: Option<Events>,
}

impl<'a> Plan<'a> {
    /// A stack for one test: SQLite, the recorder behind, free ports, a cheap hash.
    ///
    /// # Errors
    /// When no port is free.
    pub fn for_test(dir: &'a Path, programs: &'a Programs) -> Result<Self> {
        let (gateway, issuer) = (Port::any()?, Port::any()?);
        let (store, behind) = (Store::Sqlite, Behind::Echo);
        Ok(Self {
            dir,
            programs,
            gateway,
            issuer,
            store,
            behind,
            password_cost: Some(4),
            concurrency: 1,
            settings: &[],
            events: None,
        })
    }
}

/// The service behind the gateway.
#[derive(Debug)]
pub enum Upstream {
    /// The example service.
    UserService(UserService),
    /// A recorder of what arrives.
    Echo(Echo),
}

/// A running stack. The gateway stops first, so that nothing arrives at a part that is gone.
#[derive(Debug)]
pub struct Stack {
    /// The gateway.
    pub envoy: Envoy,
    /// The service behind it.
    pub upstream: Upstream,
    /// The issuer.
    pub issuer: Issuer,
}

impl Stack {
    /// Starts all parts and waits until each is ready.
    ///
    /// # Errors
    /// Names the part that did not start.
    pub fn start(plan: Plan<'_>, progress: Progress) -> Result<Self> {
        let dir = |name: &str| -> Result<PathBuf> {
            let dir = plan.dir.join(name);
            files::private_dir(&dir)?;
            Ok(dir)
        };
        let logs = dir("logs")?;

        let step = progress.step("starting the issuer");
        let issuer = Issuer::start(issuer::Setup {
            binary: &plan.programs.issuer,
            dir: &dir("issuer")?,
            log: logs.join("issuer.log"),
            public: plan.issuer,
            store: plan.store,
            password_cost: plan.password_cost,
            settings: plan.settings,
            events: plan.events.clone(),
        })?;
        drop(step);

        let upstream = match plan.behind {
            Behind::Echo => Upstream::Echo(Echo::start(&[])?),
            Behind::UserService => {
                let _step = progress.step("starting the example service");
                let log = logs.join("user-service.log");
                Upstream::UserService(UserService::start(
                    &plan.programs.user_service,
                    &dir("user-service")?,
                    log,
                    plan.events.as_ref().map(|events| events.url.as_str()),
                )?)
            }
        };

        let _step = progress.step("starting Envoy with the plugin");
        let envoy = Envoy::start(envoy::Setup {
            binary: &plan.programs.envoy,
            plugin_wasm: &plan.programs.plugin_wasm,
            dir: &dir("envoy")?,
            log: logs.join("envoy.log"),
            plain: plan.gateway,
            token_issuer: &issuer.url(),
            upstreams: Upstreams {
                issuer: issuer.port(),
                management: issuer.management_port(),
                users: upstream.port(),
            },
            concurrency: plan.concurrency,
            edits: &[],
        })?;
        Ok(Self { envoy, upstream, issuer })
    }
}

impl Upstream {
    /// Its address, behind the gateway.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::UserService(service) => service.port(),
            Self::Echo(echo) => echo.port(),
        }
    }
}
