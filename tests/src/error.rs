//! What can go wrong around the stack, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A result of the harness.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a part could not be found, built, started or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something must be installed first.
    #[error("{what} is missing: {install}")]
    Missing {
        /// The program.
        what: String,
        /// What to do about it, as a command or half a sentence.
        install: String,
    },
    /// A file or socket did not do what was asked.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The attempt, as in "cannot *read x*".
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// What was run.
        command: String,
        /// Its exit status, or the end of what it printed.
        reason: String,
    },
    /// A download is not what the pinned hash says.
    #[error("{file} has sha256 {found}, expected {expected}; it was not used")]
    WrongHash {
        /// The file's name.
        file: String,
        /// The hash that is pinned.
        expected: String,
        /// The hash that it has.
        found: String,
    },
    /// Both ways to a wasm toolchain failed.
    #[error(
        "the plugin could not be built with rustup ({rustup}), nor with the distribution's packages ({distribution})"
    )]
    NoWasmToolchain {
        /// What the first way said.
        rustup: Box<Error>,
        /// What the second way said.
        distribution: Box<Error>,
    },
    /// A part ended when it should run.
    #[error("{name} stopped by itself; the end of {log}:\n{tail}", log = log.display())]
    Exited {
        /// The part.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// A part runs but does not answer.
    #[error("{name} was not ready after {limit:?}; the end of {log}:\n{tail}", log = log.display())]
    NotReady {
        /// The part.
        name: String,
        /// How long it had.
        limit: Duration,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The shipped Envoy configuration and the harness no longer agree.
    #[error(
        "envoy.yaml has {found} of `{text}`, expected {expected}: the harness and the file must change together"
    )]
    Substitution {
        /// The text that was looked for.
        text: String,
        /// How often it should be there.
        expected: usize,
        /// How often it is.
        found: usize,
    },
    /// A port that was asked for is in use.
    #[error("port {0} is in use: choose another one, or end what listens there")]
    PortTaken(u16),
    /// Something that could be another user's lies where this harness keeps its locks.
    #[error("{path} is not a directory of this user: remove it", path = .0.display())]
    NotOurs(PathBuf),
    /// Not one port was free.
    #[error("no free port between {0} and {1}")]
    NoPort(u16, u16),
    /// A part answered, but not with what it should.
    #[error("{name} answered unexpectedly: {answer}")]
    Unexpected {
        /// The part.
        name: String,
        /// What it said.
        answer: String,
    },
    /// The tests were started without what they need.
    #[error("{0} is not set: run the tests through `cargo xtask test`, which starts what they need")]
    NotPrepared(&'static str),
}

impl Error {
    /// For `map_err`: names the attempt.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// For `map_err`: names the attempt and its file.
    pub fn file(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{doing} {}", path.display()))
    }

    pub(crate) fn missing(what: impl Into<String>, install: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), install: install.into() }
    }

    pub(crate) fn unexpected(name: &str, answer: impl Into<String>) -> Self {
        Self::Unexpected { name: name.to_owned(), answer: answer.into() }
    }
}
