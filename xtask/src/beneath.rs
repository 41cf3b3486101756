//! What `cargo xtask up --full` puts under the stack.

use std::fs;
use std::path::PathBuf;

use doorward_tests::parts::{Mongod, Rabbitmq};
use doorward_tests::progress::Progress;
use doorward_tests::tools::rabbitmq::RabbitmqTools;
use doorward_tests::{files, random, tools};

use crate::error::Error;
use crate::state::StateDir;

/// The programs of both servers.
pub(crate) struct Servers {
    mongod: PathBuf,
    rabbitmq: RabbitmqTools,
}

impl Servers {
    /// Finds both, or fetches what is missing.
    pub(crate) fn find(progress: Progress) -> Result<Self, Error> {
        Self::with(tools::mongod::find(progress)?, progress)
    }

    /// With a MongoDB that was found before.
    pub(crate) fn with(mongod: PathBuf, progress: Progress) -> Result<Self, Error> {
        Ok(Self { mongod, rabbitmq: tools::rabbitmq::find(progress)? })
    }
}

/// Both servers, running.
pub(crate) struct Beneath {
    pub(crate) mongod: Mongod,
    pub(crate) rabbitmq: Rabbitmq,
    pub(crate) master_key: String,
}

impl Beneath {
    pub(crate) fn start(servers: &Servers, state: &StateDir, progress: Progress) -> Result<Self, Error> {
        let logs = state.sub("logs")?;
        let dir = state.sub("mongodb")?;
        let step = progress.step("starting MongoDB");
        let mongod = Mongod::start(&servers.mongod, &dir, logs.join("mongodb.log"))?;
        drop(step);
        let _step = progress.step("starting RabbitMQ");
        let log = logs.join("rabbitmq.log");
        let rabbitmq = Rabbitmq::start(&servers.rabbitmq, &state.sub("rabbitmq")?, log)?;
        // The key that wraps what lies in the store has to outlive this process like the store itself.
        let file = dir.join("master.key");
        let master_key = match fs::read_to_string(&file) {
            Ok(kept) => kept,
            Err(_) => {
                let made = random::master_key();
                files::write_private(&file, made.as_bytes())?;
                made
            }
        };
        Ok(Self { mongod, rabbitmq, master_key })
    }
}
