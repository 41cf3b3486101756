use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::{Failure, block_on};
use crate::app::key_ring::{self, ListedKey, Resealed};
use crate::config::Config;
use crate::crypto::keeper::{RevocationOutcome, RotationOutcome};
use crate::crypto::ring::RingError;
use crate::domain::keys::rules::Stage;
use crate::domain::keys::{KeyEntry, KeyId, KeyKind, KeyPurpose};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Print all keys and how far each has come. No key itself is ever printed.
    List,
    /// Make the key that follows the one in use. It is published before it is used; nobody is logged out.
    Rotate(Rotate),
    /// Make a key worthless at once, with everything that it signed. A new one takes its place if it was in use.
    Revoke {
        /// The key, by its id in `keys list`.
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// What the key is for.
    #[arg(long, value_enum, default_value_t = Kind::Signing)]
    kind: Kind,
    /// Instead of making a key, seal all keys under the master key in this file. If there is no such file, it is made.
    #[arg(long, value_name = "FILE", conflicts_with = "kind")]
    master: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Signs access tokens.
    Signing,
    /// Goes into password hashes.
    Pepper,
    /// Authenticates refresh tokens.
    Refresh,
    /// Seals what waits to be mailed.
    Mail,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error("the keys were not changed: {}", telemetry::with_causes(.0))]
    Ring(#[from] RingError),
    #[error("the ring has no key {0}; `keys list` prints them all")]
    Unknown(KeyId),
    #[error(
        "{0} is a pepper, and whoever has a password under it could never log in again; \
         `keys rotate --kind pepper` makes another one, to which passwords move as their owners log in"
    )]
    Pepper(KeyId),
    #[error(
        "tokens are signed with token.secret, which is not in the ring; \
         give the new secret as token.secret and this one as token.old_secret"
    )]
    NotInTheRing,
}

/// Does what the command says.
pub(super) fn run(config: &Config, command: KeysCommand) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    block_on(async {
        match command {
            KeysCommand::List => list(config).await,
            KeysCommand::Rotate(Rotate { master: Some(file), .. }) => change_master(config, &file).await,
            KeysCommand::Rotate(Rotate { kind, master: None }) => rotate(config, kind.into()).await,
            KeysCommand::Revoke { id } => revoke(config, &KeyId::new(id)).await,
        }
    })
}

async fn list(config: &Config) -> Result<(), Failure> {
    let heads = [
        "KIND",
        "ALGORITHM",
        "STATE",
        "CREATED",
        "AGE",
        "ACTIVE-FROM",
        "ACTIVE-UNTIL",
        "TRUSTED-UNTIL",
        "ID",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(key_ring::list(config).await?.iter().map(row));
    let widths: [usize; 9] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}

fn row(ListedKey { entry, stage, active_until, age }: &ListedKey) -> [String; 9] {
    let algorithm = match entry.kind {
        KeyKind::Signing(algorithm) => algorithm.as_str(),
        KeyKind::Pepper | KeyKind::Refresh | KeyKind::Mail => "-",
    };
    let trusted_until = match stage {
        Stage::Retired { until } => *until,
        _ => None,
    };
    [
        entry.kind.purpose().as_str().to_owned(),
        algorithm.to_owned(),
        stage.as_str().to_owned(),
        minute(Some(entry.created_at)),
        roughly(*age),
        minute(Some(entry.active_from)),
        minute(*active_until),
        minute(trusted_until),
        entry.id.to_string(),
    ]
}

async fn rotate(config: &Config, purpose: KeyPurpose) -> Result<(), Failure> {
    let follows = |word: &str, entry: &KeyEntry| {
        println!("{word}: {} key {}, in use from {}", purpose.as_str(), entry.id, entry.active_from);
    };
    match key_ring::open(config).await?.rotate(purpose).await.map_err(KeysError::from)? {
        RotationOutcome::Made(entry) => follows("made", &entry),
        RotationOutcome::Waiting(entry) => follows("made before", &entry),
        RotationOutcome::NotInTheRing => return Err(KeysError::NotInTheRing.into()),
    }
    Ok(())
}

async fn revoke(config: &Config, id: &KeyId) -> Result<(), Failure> {
    match key_ring::open(config).await?.revoke(id).await.map_err(KeysError::from)? {
        RevocationOutcome::Yes(None) => println!("revoked: {id}"),
        RevocationOutcome::Yes(Some(replacement)) => {
            println!("revoked: {id}\nin use from now on: {}", replacement.id);
        }
        RevocationOutcome::Before => println!("revoked before: {id}"),
        RevocationOutcome::Unknown => return Err(KeysError::Unknown(id.clone()).into()),
        RevocationOutcome::Pepper => return Err(KeysError::Pepper(id.clone()).into()),
    }
    Ok(())
}

async fn change_master(config: &Config, file: &Path) -> Result<(), Failure> {
    let file_name = file.display();
    match key_ring::reseal(config, file).await? {
        Resealed::Yes(number) => println!("{number} keys are sealed under the master key in {file_name} now"),
        Resealed::Before => println!("the keys are sealed under the master key in {file_name} already"),
    }
    println!("give it to every issuer as keys.master_key, and restart them");
    Ok(())
}

/// Of a month nobody wants to know the minutes.
fn roughly(age: Duration) -> String {
    match age.as_secs() / 60 {
        minutes @ 0..60 => format!("{minutes}m"),
        minutes @ 60..1440 => format!("{}h", minutes / 60),
        minutes => format!("{}d", minutes / 1440),
    }
}

fn minute(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%MZ").to_string())
}

impl From<Kind> for KeyPurpose {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Signing => Self::Signing,
            Kind::Pepper => Self::Pepper,
            Kind::Refresh => Self::Refresh,
            Kind::Mail => Self::Mail,
        }
    }
}
