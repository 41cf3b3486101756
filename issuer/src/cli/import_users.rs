use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{Failure, block_on};
use crate::app::accounts;
use crate::config::Config;
use crate::domain::import::{Import, ImportError, Imported, Mode};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct ImportUsers {
    /// A file with one JSON object a line, as `users export` writes it; `-` for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Only say what would become of each line.
    #[arg(long)]
    dry_run: bool,
}

/// Why not all lines were taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportUsersError {
    #[error("{place} cannot be read ({reason})")]
    Read { place: String, reason: io::Error },
    #[error("stopped at line {line}, where {reason}; import the same file again: what is in stays as it is")]
    Stopped { line: u64, reason: String },
    #[error("{0} lines were refused; mend them and import the same file again: what is in stays as it is")]
    Refused(u64),
}

/// A line longer than that is none of ours.
const LONGEST: u64 = 64 * 1024;
/// Lines under way at once: so many that a store across a network is busy.
const AT_ONCE: usize = 16;

/// Takes over the accounts in a file; memory does not grow with it.
pub(super) fn run(config: &Config, import: ImportUsers) -> Result<(), Failure> {
    telemetry::install(&config.telemetry);
    let mode = if import.dry_run { Mode::DryRun } else { Mode::Write };
    let source = Source::open(&import.file).map_err(|reason| unreadable(&import.file, reason))?;
    block_on(async {
        let flow = accounts::import(config).await?;
        let mut tally = Tally::new(source.bar);
        let done = take_over(&flow, mode, lines(source.lines), &mut tally).await;
        tally.sum_up(mode);
        match done {
            Err(Stop::Read(reason)) => Err(unreadable(&import.file, reason)),
            Err(Stop::Store { line, error }) => {
                let reason = telemetry::with_causes(&error);
                Err(ImportUsersError::Stopped { line, reason }.into())
            }
            Ok(()) if tally.refused > 0 => Err(ImportUsersError::Refused(tally.refused).into()),
            Ok(()) => Ok(()),
        }
    })
}

enum Stop {
    Read(io::Error),
    Store { line: u64, error: ImportError },
}

/// In the order of the lines, whichever is done first. A line that is refused is told and passed over.
async fn take_over(
    flow: &Import,
    mode: Mode,
    lines: mpsc::Receiver<io::Result<Line>>,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let lines = stream::unfold(lines, |mut lines| async { lines.recv().await.map(|line| (line, lines)) });
    let outcomes = lines.map(async |line| {
        let line = line.map_err(Stop::Read)?;
        let outcome = match &line.text {
            Some(text) => flow.line(text, mode).await.map_err(Some),
            None => Err(None),
        };
        Ok((line.number, line.bytes, outcome))
    });
    let mut outcomes = std::pin::pin!(outcomes.buffered(AT_ONCE));
    while let Some((line, bytes, outcome)) = outcomes.try_next().await? {
        match outcome {
            Ok(Imported::Yes) => tally.imported += 1,
            Ok(Imported::EmailTaken) => tally.taken(line),
            Err(Some(ImportError::Line(error))) => tally.refuse(line, &error.to_string()),
            Err(Some(error @ ImportError::Store(_))) => return Err(Stop::Store { line, error }),
            Err(None) => tally.refuse(line, "is not UTF-8, or longer than 64 KiB"),
        }
        tally.bar.inc(bytes);
    }
    Ok(())
}

struct Line {
    number: u64,
    bytes: u64,
    /// None if it is too long or no text.
    text: Option<String>,
}

/// Reads ahead on a thread of its own, a little: whoever is slower waits for the other.
fn lines(mut source: Box<dyn BufRead + Send>) -> mpsc::Receiver<io::Result<Line>> {
    let (sender, lines) = mpsc::channel(AT_ONCE);
    let _reader = std::thread::spawn(move || {
        for number in 1.. {
            let line = match read_line(&mut source, number) {
                Ok(None) => return,
                Ok(Some(line)) => Ok(line),
                Err(error) => Err(error),
            };
            let blank = matches!(&line, Ok(Line { text: Some(text), .. }) if text.trim().is_empty());
            let ends = line.is_err();
            // Nobody listens any more once the import has stopped.
            if (!blank && sender.blocking_send(line).is_err()) || ends {
                return;
            }
        }
    });
    lines
}

fn read_line(source: &mut dyn BufRead, number: u64) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut length = source.take(LONGEST).read_until(b'\n', &mut bytes)? as u64;
    if length == 0 {
        return Ok(None);
    }
    let whole = length < LONGEST || bytes.ends_with(b"\n");
    if !whole {
        length += source.skip_until(b'\n')? as u64;
    }
    let text = if whole { String::from_utf8(bytes).ok() } else { None };
    Ok(Some(Line { number, bytes: length, text }))
}

struct Source {
    lines: Box<dyn BufRead + Send>,
    bar: ProgressBar,
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            let bar = ProgressBar::new_spinner().with_style(style("{spinner} {bytes} read, {elapsed}"));
            return Ok(Self { lines: Box::new(BufReader::new(io::stdin())), bar });
        }
        let file = File::open(path)?;
        let bar = ProgressBar::new(file.metadata()?.len());
        let bar = bar.with_style(style("{wide_bar} {percent}% of {total_bytes}, {eta} left"));
        Ok(Self { lines: Box::new(BufReader::new(file)), bar })
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What became of the lines, told as it happens. The bar is drawn on a terminal only.
struct Tally {
    bar: ProgressBar,
    imported: u64,
    taken: u64,
    refused: u64,
}

impl Tally {
    fn new(bar: ProgressBar) -> Self {
        Self { bar, imported: 0, taken: 0, refused: 0 }
    }

    fn taken(&mut self, line: u64) {
        self.taken += 1;
        self.say(line, "email has an account already; passed over");
    }

    fn refuse(&mut self, line: u64, why: &str) {
        self.refused += 1;
        self.say(line, why);
    }

    fn say(&self, line: u64, text: &str) {
        self.bar.suspend(|| eprintln!("line {line}: {text}"));
    }

    fn sum_up(&self, mode: Mode) {
        self.bar.finish_and_clear();
        let Self { imported, taken, refused, .. } = self;
        let would = if mode == Mode::DryRun { "would be " } else { "" };
        println!("{imported} {would}imported, {taken} had an account already, {refused} refused");
    }
}

fn unreadable(path: &Path, reason: io::Error) -> Failure {
    ImportUsersError::Read { place: path.display().to_string(), reason }.into()
}
