//! The administrator of a development stack: made once, kept beside the store that knows it.

use std::fs;
use std::path::Path;

use doorward_tests::Error as Refused;
use doorward_tests::http::Client;
use doorward_tests::parts::Issuer;
use doorward_tests::{files, random};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Error;

/// How the issuer's command line says that there is such a user already.
const TAKEN: &str = "the e-mail address is taken";

/// The administrator's credentials, as `stack.json` shows them to programs of this machine's owner.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub(crate) email: String,
    pub(crate) password: String,
}

impl Admin {
    /// The administrator that this issuer knows, made now if there is none.
    pub(crate) fn ensure(issuer: &Issuer, store_dir: &Path) -> Result<Self, Error> {
        let file = store_dir.join("admin.json");
        let kept = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        // Written before the user is made: killed in between, the next start makes the user that is written here.
        let admin = match kept {
            Some(admin) if admin.can_log_in(issuer)? => return Ok(admin),
            Some(admin) => admin,
            None => Self { email: "admin@example.test".to_owned(), password: random::password() },
        };
        files::write_private(&file, json!(admin).to_string().as_bytes())?;
        match issuer.create_user(&admin.email, &admin.password, "admin") {
            Ok(()) => Ok(admin),
            Err(Refused::Command { reason, .. }) if reason.contains(TAKEN) => {
                Err(Error::AdminTaken { email: admin.email, store: store_dir.to_owned() })
            }
            Err(other) => Err(other.into()),
        }
    }

    fn can_log_in(&self, issuer: &Issuer) -> Result<bool, Error> {
        match Client::new(&issuer.url()).post("/auth/login", &json!(self))?.status {
            200 => Ok(true),
            401 => Ok(false),
            // Whether there is such a user is then not known, and making one would only hide what is wrong.
            status => Err(Error::AdminLogin { status }),
        }
    }
}
