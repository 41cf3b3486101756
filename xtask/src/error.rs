//! Why a command failed.

use std::path::PathBuf;

/// What the person at the terminal has to know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A part could not be found, built or started.
    #[error(transparent)]
    Harness(#[from] doorward_tests::Error),
    /// A measurement failed.
    #[error(transparent)]
    Bench(#[from] crate::bench::Error),
    /// A file to be checked cannot be read as what it should be.
    #[error("{file} is not YAML: {reason}", file = file.display())]
    NotYaml {
        /// The file.
        file: PathBuf,
        /// The parser's complaint.
        reason: String,
    },
    /// A file to be checked holds nothing to check.
    #[error("{file} holds no plugin configuration: a mapping with `providers` and `rules`", file = file.display())]
    NoPluginConfiguration {
        /// The file.
        file: PathBuf,
    },
    /// The fuzz targets could not be built.
    #[error("the fuzz targets could not be built; cargo's messages stand above")]
    FuzzBuild,
    /// The state directory is in use.
    #[error(
        "a stack is already running in {state} (process {pid}): end it with `cargo xtask down`, \
         or start a second one with `--state DIR`",
        state = state.display()
    )]
    AlreadyUp {
        /// The state directory.
        state: PathBuf,
        /// Who holds it, as far as known.
        pid: String,
    },
    /// A part ended while the stack was up.
    #[error("{name} ended by itself, so the stack was stopped; its log ends with:\n{tail}")]
    PartEnded {
        /// The part.
        name: &'static str,
        /// The end of its log.
        tail: String,
    },
    /// The stack that should run in the background did not come up.
    #[error("the stack did not come up; {log} ends with:\n{tail}", log = log.display())]
    NotUp {
        /// Its output.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A stack did not end when it was told to.
    #[error("the stack in {state} (process {pid}) did not end", state = state.display())]
    NotDown {
        /// The state directory.
        state: PathBuf,
        /// Its process.
        pid: String,
    },
    /// The issuer knows the administrator, but not by the password that is kept beside its store.
    #[error(
        "the store knows {email}, but not by the password kept beside it: delete {store}, and all its users \
         with it, to begin anew",
        store = store.display()
    )]
    AdminTaken {
        /// The administrator.
        email: String,
        /// The store's directory.
        store: PathBuf,
    },
    /// The administrator's login was neither accepted nor refused.
    #[error("the issuer answered the administrator's login with {status}; its log says why")]
    AdminLogin {
        /// The status.
        status: u16,
    },
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The attempt.
        doing: String,
        /// The answer.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: names the attempt.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
