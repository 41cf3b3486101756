//! An example service behind the gateway: it keeps user profiles and knows nothing of tokens.
//!
//! Who calls is in the headers that the gateway injects, and what he may do was decided there. So this service must
//! listen only where the gateway alone can reach it: here, on the loopback interface. Without a gateway it can check
//! tokens itself: `--verify locally`, in [`own_gate`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use poem::listener::TcpListener;
use poem::{EndpointExt as _, Route, Server, get};

/// What the issuer announces: users who come, change and go.
mod announcements;
/// A change of a profile, as a body brings it.
mod body;
/// Who is calling, as the gateway says.
mod caller;
/// What each route does.
mod handlers;
/// The gateway's check, done here.
mod own_gate;
/// What goes wrong, and how it is told.
mod problem;
/// The profiles in their database.
mod profiles;

use own_gate::{OwnGate, Trusted};
use profiles::Profiles;

/// Serves user profiles to those whom the gateway lets through.
#[derive(Parser)]
struct Options {
    /// Where to listen; nothing but the gateway may reach it
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The database file
    #[arg(long, default_value = "data/profiles.db")]
    database: PathBuf,
    /// The broker that announces users; without one, a profile is made when its owner first comes by
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    amqp: Option<String>,
    /// A file that holds the same
    #[arg(long, env = "AMQP_URL_FILE", conflicts_with = "amqp")]
    amqp_file: Option<PathBuf>,
    /// Who checks tokens
    #[arg(long, value_enum, default_value_t = Verify::Gateway)]
    verify: Verify,
    /// With `--verify locally`: the issuer's URL, as `iss` of its tokens says
    #[arg(long, required_if_eq("verify", "locally"))]
    issuer: Option<String>,
    /// Where the issuer's keys are, if not at ISSUER/.well-known/jwks.json
    #[arg(long, requires = "issuer")]
    jwks: Option<String>,
    /// Whom tokens must be for
    #[arg(long, default_value = "api")]
    audience: String,
}

/// Who checks tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verify {
    /// The gateway, and nobody else can reach us
    Gateway,
    /// We do, whoever can reach us
    Locally,
}

/// Where profiles come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From the issuer's announcements.
    Announcements,
    /// From the headers of those who come by.
    Visits,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let gate = options.trusted().map(|trusted| OwnGate::start(&trusted)).transpose();
    let gate = gate.map_err(|failure| failure.to_string())?;
    let profiles = Profiles::open(&options.database)
        .map_err(|failure| format!("cannot open {}: {failure}", options.database.display()))?;
    let profiles = Arc::new(profiles);
    let broker = options.broker()?;
    let source = if broker.is_some() { Source::Announcements } else { Source::Visits };
    if let Some(url) = broker {
        tokio::spawn(announcements::follow(url, Arc::clone(&profiles)));
    }
    let served = serve(options.listen, profiles, source, gate).await;
    served.map_err(|failure| format!("cannot serve on {}: {failure}", options.listen))
}

impl Options {
    /// The broker's URL. It holds a password, so a file may have it instead of the environment.
    fn broker(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.amqp_file else { return Ok(self.amqp.clone()) };
        match std::fs::read_to_string(file) {
            Ok(url) => Ok(Some(url.trim().to_owned())),
            Err(failure) => Err(format!("cannot read {}: {failure}", file.display())),
        }
    }

    /// Whose tokens we are to check, if we are.
    fn trusted(&self) -> Option<Trusted> {
        let issuer = self.issuer.clone().filter(|_| self.verify == Verify::Locally)?;
        let found = || format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        let jwks = self.jwks.clone().unwrap_or_else(found);
        Some(Trusted { jwks, issuer, audience: self.audience.clone() })
    }
}

async fn serve(
    listen: SocketAddr,
    profiles: Arc<Profiles>,
    source: Source,
    gate: Option<OwnGate>,
) -> std::io::Result<()> {
    let routes = Route::new()
        .at("/users", get(handlers::list))
        .at("/users/:id", get(handlers::show).put(handlers::update).delete(handlers::remove))
        .data(profiles)
        .data(source)
        .around(move |routes, request| own_gate::pass(gate.clone(), routes, request))
        .around(problem::told);
    eprintln!("listening on {listen}");
    Server::new(TcpListener::bind(listen)).run(routes).await
}
