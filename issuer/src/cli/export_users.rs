use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, block_on};
use crate::app::accounts;
use crate::config::Config;
use crate::domain::ports::Users;
use crate::domain::user_line::UserLine;
use crate::store::OpenError;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct ExportUsers {
    /// A file to make, for its owner's eyes only; standard output without it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Why the export is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("{} cannot be made ({reason}); name a file that does not exist yet", path.display())]
    Make { path: PathBuf, reason: io::Error },
    #[error("the export cannot be written ({0}), and is not whole")]
    Write(io::Error),
}

/// Accounts that are in memory at once.
const PAGE: u32 = 500;

/// Writes all accounts, one JSON object a line, with the hashes of their passwords.
pub(super) fn run(config: &Config, export: ExportUsers) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    block_on(async {
        let users = accounts::users(config).await?;
        match export.output {
            None => write_all(&*users, &mut io::stdout().lock()).await,
            Some(path) => {
                let mut file = make(&path).map_err(|reason| ExportError::Make { path, reason })?;
                write_all(&*users, &mut file).await?;
                Ok(file.sync_all().map_err(ExportError::Write)?)
            }
        }
    })
}

async fn write_all(users: &dyn Users, output: &mut dyn Write) -> Result<(), Failure> {
    let mut output = BufWriter::new(output);
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {pos} users")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let mut last = None;
    loop {
        let page = users
            .accounts(last, PAGE)
            .await
            .map_err(|error| Failure::Start(OpenError::from(error).into()))?;
        let Some(end) = page.last() else { break };
        last = Some(end.user.id);
        for account in &page {
            write_line(&mut output, &UserLine::from(account)).map_err(ExportError::Write)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(output.flush().map_err(ExportError::Write)?)
}

fn write_line(output: &mut impl Write, line: &UserLine) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}

fn make(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
