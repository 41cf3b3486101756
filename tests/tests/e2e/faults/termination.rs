//! SIGTERM under load: what was answered is there afterwards, on either store.

use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::Store;
use doorward_tests::process::Workdir;
use doorward_tests::random;
use nix::sys::signal::Signal;

use crate::support::alone::{self, Alone};
use crate::support::crowd::Crowd;
use crate::support::whole::{DATABASE, mongod};

#[test]
fn sigterm_under_load_loses_nothing_on_sqlite() {
    loses_nothing(Store::Sqlite);
}

#[test]
fn sigterm_under_load_loses_nothing_on_mongodb() {
    let workdir = Workdir::new().unwrap();
    let mongod = mongod(&workdir);
    loses_nothing(Store::Mongodb { url: mongod.url(DATABASE), master_key: random::master_key() });
}

fn loses_nothing(store: Store) {
    let Alone { mut issuer, workdir, .. } = Alone::start_on(store.clone(), &[]);
    let mut crowd = Crowd::gather(&alone::url(&issuer), 8);
    crowd.wait_for(100);
    // A store on a busy disk may have been late before.
    let before = crowd.refused();
    issuer.process.signal(Signal::SIGTERM).unwrap();
    assert_eq!(issuer.process.ended(Duration::from_secs(15)).unwrap(), Some(0));
    let memories = crowd.disperse();
    alone::assert_calm(&issuer);

    assert_eq!(crowd.refused(), before, "the end is no reason to refuse what has begun");

    let again = alone::start(workdir.path(), store, &[]);
    let door = Client::new(&alone::url(&again));
    for memory in &memories {
        memory.assert_kept(&door);
    }
}
