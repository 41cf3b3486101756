//! What `cargo xtask test` makes ready once, and hands to every test through the environment.

use std::path::PathBuf;

use crate::{Error, Result};

/// The programs of a stack.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Envoy's binary.
    pub envoy: PathBuf,
    /// The plugin's module.
    pub plugin_wasm: PathBuf,
    /// The issuer's binary.
    pub issuer: PathBuf,
    /// The example service's binary.
    pub user_service: PathBuf,
}

/// Everything that a test may need.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The programs of a stack.
    pub programs: Programs,
    /// MongoDB's binary, for tests that stop it.
    pub mongod: PathBuf,
    /// The modules of Schemathesis.
    pub schemathesis: PathBuf,
    /// A running MongoDB, shared by all tests of a run, each with a database of its own.
    pub mongodb_url: String,
    /// The developer commands' binary.
    pub xtask: PathBuf,
}

impl Prepared {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] when the tests were not started by `cargo xtask test`.
    pub fn from_env() -> Result<Self> {
        Ok(Self {
            programs: Programs {
                envoy: read("DOORWARD_TEST_ENVOY")?.into(),
                plugin_wasm: read("DOORWARD_TEST_PLUGIN_WASM")?.into(),
                issuer: read("DOORWARD_TEST_ISSUER")?.into(),
                user_service: read("DOORWARD_TEST_USER_SERVICE")?.into(),
            },
            mongod: read("DOORWARD_TEST_MONGOD")?.into(),
            schemathesis: read("DOORWARD_TEST_SCHEMATHESIS")?.into(),
            mongodb_url: read("DOORWARD_TEST_MONGODB_URL")?,
            xtask: read("DOORWARD_TEST_XTASK")?.into(),
        })
    }

    /// The same as variables, for the process that runs the tests.
    #[must_use]
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        vec![
            ("DOORWARD_TEST_ENVOY", path(&self.programs.envoy)),
            ("DOORWARD_TEST_PLUGIN_WASM", path(&self.programs.plugin_wasm)),
            ("DOORWARD_TEST_ISSUER", path(&self.programs.issuer)),
            ("DOORWARD_TEST_USER_SERVICE", path(&self.programs.user_service)),
            ("DOORWARD_TEST_MONGOD", path(&self.mongod)),
            ("DOORWARD_TEST_SCHEMATHESIS", path(&self.schemathesis)),
            ("DOORWARD_TEST_MONGODB_URL", self.mongodb_url.clone()),
            ("DOORWARD_TEST_XTASK", path(&self.xtask)),
        ]
    }
}

fn read(name: &'static str) -> Result<String> {
    std::env::var(name).map_err(|_| Error::NotPrepared(name))
}
