//! An example service behind the gateway: it keeps user profiles and knows nothing of tokens.
//!
//! Who calls is in the headers that the gateway injects, and what he may do was decided there. So this service must
//! listen only where the gateway alone can reach it: here, on the loopback interface.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
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
/// What goes wrong, and how it is told.
mod problem;
/// The profiles in their database.
mod profiles;

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
    let options = Options::parse();
    match Profiles::open(&options.database) {
        Ok(profiles) => {
            let profiles = Arc::new(profiles);
            let source = if options.amqp.is_some() { Source::Announcements } else { Source::Visits };
            if let Some(url) = options.amqp {
                tokio::spawn(announcements::follow(url, Arc::clone(&profiles)));
            }
            serve(options.listen, profiles, source).await
        }
        Err(failure) => {
            eprintln!("error: cannot open {}: {failure}", options.database.display());
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: SocketAddr, profiles: Arc<Profiles>, source: Source) -> ExitCode {
    let routes = Route::new()
        .at("/users", get(handlers::list))
        .at("/users/:id", get(handlers::show).put(handlers::update).delete(handlers::remove))
        .data(profiles)
        .data(source)
        .around(problem::told);
    eprintln!("listening on {listen}");
    match Server::new(TcpListener::bind(listen)).run(routes).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: cannot serve on {listen}: {failure}");
            ExitCode::FAILURE
        }
    }
}
