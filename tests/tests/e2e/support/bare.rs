//! A gateway whose upstreams are all recorders, trusting a key of ours: for tokens that the issuer would never make
//! and for requests that no client library would send.

use doorward_tests::http::Client;
use doorward_tests::parts::envoy::{Setup, Upstreams};
use doorward_tests::parts::{Echo, Envoy};
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use serde_json::{Value, json};

use crate::support::own_key::{OwnKey, now};

const ISSUER: &str = "https://auth.example.test";
/// In the shipped file.
const REVOCATION: &str = "
                                revocation:
                                  cluster: issuer-management
                                  path: /revocations
                                  max_stale: 60s
                                  when_stale: deny";

/// The gateway under test.
pub(crate) struct Bare {
    pub(crate) envoy: Envoy,
    pub(crate) echo: Echo,
    pub(crate) key: OwnKey,
    _workdir: Workdir,
}

impl Bare {
    pub(crate) fn start() -> Self {
        let programs = Prepared::from_env().unwrap().programs;
        let workdir = Workdir::new().unwrap();
        let key = OwnKey::new("own");
        let echo = Echo::start(&[("/.well-known/jwks.json", &key.jwks())]).unwrap();
        let upstreams = Upstreams { issuer: echo.port(), management: echo.port(), users: echo.port() };
        let setup = Setup::for_test(&programs, workdir.path(), ISSUER, upstreams).unwrap();
        // Nobody logs in here, and so nobody logs out: there is no list of revocations to follow.
        let envoy = Envoy::start(Setup { edits: &[(REVOCATION, "")], ..setup }).unwrap();
        Self { envoy, echo, key, _workdir: workdir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.envoy.url())
    }

    /// Claims that are right in every way, for this user.
    pub(crate) fn claims(user: &str) -> Value {
        json!({
            "iss": ISSUER, "sub": user, "aud": ["api"], "client_id": "first-party",
            "iat": now(), "exp": now() + 600, "auth_time": now(), "jti": "a-token", "sid": "a-session", "epoch": 0,
            "email": "ada@example.test", "email_verified": false, "roles": ["user"], "permissions": [],
        })
    }

    /// A token that is right in every way, for this user.
    pub(crate) fn token(&self, user: &str) -> String {
        self.key.token(&Self::claims(user))
    }
}
