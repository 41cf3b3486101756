//! `cargo xtask bench issuer`: the release build of the issuer on a real MongoDB, against what bcrypt and the driver alone
//! reach on the same machine in the same run.

/// Events on their way to a real RabbitMQ.
mod events;
/// The figures and their targets.
mod figures;
/// Logins against the machine's bcrypt.
mod logins;
/// People with a connection each.
mod people;
/// Latency and number of refreshes.
mod refreshes;
/// Memory, and the time to start.
mod sizes;
/// Known against unknown users.
mod timing;
/// What everything runs on.
mod world;

use std::path::PathBuf;

use clap::Args;
use doorward_tests::progress::Progress;

use self::figures::Figures;
use self::world::World;
use super::Error;
use super::conditions::Conditions;

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Shorter and fewer: for trying, not for quoting
    #[arg(long)]
    quick: bool,
    /// Print a section for docs/performance.md, with date and machine
    #[arg(long)]
    markdown: bool,
    /// Measure `doorward-issuer` and `examples/ceiling` in this directory instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Of what is compared in turns.
    rounds: usize,
    /// How long each turn takes.
    seconds: u64,
    /// Refreshes of which the latency is measured.
    refreshes: usize,
    /// Sessions that are opened to see what they weigh.
    sessions: usize,
    /// Logins of a known and of an unknown user.
    pairs: usize,
    /// Starts of the program.
    starts: usize,
    /// Registrations of which somebody hears, and as many of which nobody does.
    registrations: usize,
    /// Events that wait when the broker comes.
    events: usize,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 3,
        seconds: 20,
        refreshes: 1_500,
        sessions: 10_000,
        pairs: 500,
        starts: 11,
        registrations: 400,
        events: 20_000,
    };
    const QUICK: Self = Self {
        rounds: 1,
        seconds: 5,
        refreshes: 250,
        sessions: 1_000,
        pairs: 60,
        starts: 3,
        registrations: 100,
        events: 3_000,
    };
}

/// Measures the issuer and prints what came out.
pub(crate) fn issuer(options: &Options) -> Result<(), Error> {
    let progress = Progress::detect();
    let (scale, command) = match options.quick {
        true => (Scale::QUICK, "cargo xtask bench issuer --quick"),
        false => (Scale::FULL, "cargo xtask bench issuer"),
    };
    let world = World::begin(options.programs.as_deref(), progress)?;
    let conditions = Conditions::now("MongoDB", &world.mongod_program)?;
    let figures = Figures {
        starts: sizes::starts(&world, scale, progress)?,
        memory: sizes::memory(&world, scale, progress)?,
        logins: logins::against_bcrypt(&world, scale, progress)?,
        latency: refreshes::latency(&world, scale, progress)?,
        rate: refreshes::against_the_driver(&world, scale, progress)?,
        timing: timing::known_against_unknown(&world, scale, progress)?,
        events: events::events(&world, scale, progress)?,
    };
    conditions.print(&figures, command, options.markdown);
    Ok(())
}
