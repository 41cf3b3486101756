/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A part could not be found, built or started.
    #[error(transparent)]
    Harness(#[from] doorward_tests::Error),
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The attempt.
        doing: String,
        /// The answer.
        source: std::io::Error,
    },
    /// A file of the system does not look as expected.
    #[error("cannot make sense of {0}")]
    Unreadable(String),
    /// A key could not be made or used.
    #[error("cannot make {algorithm} tokens: {reason}")]
    Tokens {
        /// The algorithm.
        algorithm: &'static str,
        /// What the library said.
        reason: String,
    },
    /// Somebody would be measured who does not do the work.
    #[error(
        "{contender} is not fit to be measured: {request} was answered with {found}, expected {expected}"
    )]
    Unfit {
        /// Who.
        contender: String,
        /// What was sent.
        request: &'static str,
        /// What should have come back.
        expected: String,
        /// What came back.
        found: String,
    },
    /// A request was refused while it was measured.
    #[error("a request was answered with {0} while measuring, expected 200")]
    Refused(u16),
    /// A token outlived its session by far.
    #[error("a token was let in for more than {0:?} after its session had ended")]
    LetIn(std::time::Duration),
    /// What came back is not HTTP/1.1.
    #[error("an answer is no HTTP/1.1: {0}")]
    Answer(#[from] httparse::Error),
}

impl Error {
    /// For `map_err`: names the attempt.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
