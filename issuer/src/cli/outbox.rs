use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Failure, block_on};
use crate::app::telling;
use crate::config::Config;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::outbox::{Channel, EntryState, Replay, Troubled};
use crate::domain::ports::{Outbox, StoreError};
use crate::telemetry;

/// What can be done about the outbox.
#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// Print, as JSON, how much waits and what did not leave, and why.
    Status {
        /// How many entries to list of those that did not leave.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Send entries once more; prints how many.
    Replay(ReplayArgs),
}

/// Which entries to send once more.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Those that have come that far.
    #[arg(long, value_enum, default_value = "parked")]
    state: State,
    /// Those on this way.
    #[arg(long, value_enum, default_value = "events")]
    channel: Way,
    /// Only those about this user.
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    /// Only this one.
    #[arg(long, value_name = "ID")]
    id: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Parked,
    Unroutable,
    Done,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    Events,
    Mail,
}

/// Does it, and prints what it has to say.
pub(super) fn run(config: &Config, command: &OutboxCommand) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    block_on(async {
        let outbox = telling::outbox(config).await?;
        println!("{:#}", answer(command, &*outbox).await?);
        Ok(())
    })
}

async fn answer(command: &OutboxCommand, outbox: &dyn Outbox) -> Result<Value, StoreError> {
    match command {
        OutboxCommand::Status { limit } => Ok(json!({
            "events": status(outbox, Channel::Events, *limit).await?,
            "mail": status(outbox, Channel::Mail, *limit).await?,
        })),
        OutboxCommand::Replay(args) => {
            let replayed = outbox.replay(&args.into(), SystemClock.now()).await?;
            Ok(json!({ "replayed": replayed }))
        }
    }
}

async fn status(outbox: &dyn Outbox, channel: Channel, limit: u32) -> Result<Value, StoreError> {
    let status = outbox.status(channel).await?;
    let troubled = outbox.troubled(channel, limit).await?;
    Ok(json!({
        "waiting": status.waiting,
        "waiting_since": status.oldest.as_ref().map(Timestamp::to_string),
        "unroutable": status.unroutable,
        "parked": status.parked,
        "troubled": troubled.iter().map(as_json).collect::<Vec<_>>(),
    }))
}

/// Without its data, which may be personal.
fn as_json(Troubled { entry, state, reason }: &Troubled) -> Value {
    json!({
        "id": entry.id,
        "state": state.as_str(),
        "reason": reason,
        "attempts": entry.attempts,
        "type": entry.kind,
        "user": entry.user.to_string(),
        "sequence": entry.sequence,
        "time": entry.at.to_string(),
    })
}

impl From<&ReplayArgs> for Replay {
    fn from(args: &ReplayArgs) -> Self {
        Self {
            channel: match args.channel {
                Way::Events => Channel::Events,
                Way::Mail => Channel::Mail,
            },
            state: match args.state {
                State::Parked => EntryState::Parked,
                State::Unroutable => EntryState::Unroutable,
                State::Done => EntryState::Done,
            },
            user: args.user.map(Into::into),
            id: args.id,
        }
    }
}
