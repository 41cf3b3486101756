//! The plugin crashes: what that costs, and whom.

use std::time::Duration;

use doorward_tests::build::trap;
use doorward_tests::http::raw::Connection;
use doorward_tests::parts::Answer;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use doorward_tests::wait;

use crate::support::gateway::{Plan, bearer, head};
use crate::support::keyed::{Keyed, PATH};
use crate::support::settings::{claims, provider, remote, settings};
use crate::support::signer::{Signer, jwks};

const LIMIT: Duration = Duration::from_secs(20);

/// A gateway whose plugin crashes on demand; one fetch would be enough for its whole life.
fn trapping(concurrency: usize) -> (Keyed, Signer) {
    let workdir = Workdir::new().unwrap();
    let module = Prepared::from_env().unwrap().programs.plugin_wasm;
    let module = trap::trapping(&module, workdir.path()).unwrap();
    let key = Signer::es256("k1");
    let keyed = Keyed::start_plan(&[(PATH, Answer::Document(jwks(&[&key])))], |clusters| Plan {
        clusters,
        concurrency,
        module: Some(module),
        ..Plan::plugin(settings(&[provider(remote(PATH, "5m"))]))
    });
    (keyed, key)
}

/// A request on which the plugin crashes, on a path that is open to everybody.
fn deadly() -> Vec<u8> {
    let many: Vec<String> = (0..trap::HEADERS).map(|number| format!("x-{number}: a")).collect();
    head("GET /public", &many.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_crash_closes_the_door_for_a_moment_and_costs_no_fetch() {
    let (keyed, key) = trapping(1);
    let good = key.token(&claims("ada"));
    assert_eq!(keyed.gateway.get("/users/ada", &good).status, 200);

    let crashed = keyed.gateway.connect().send(&deadly()).unwrap();
    assert_eq!(crashed.status, 503, "{crashed:?}");

    // Closed for everybody, the public paths included; then open again without anybody's help.
    // Envoy counts the second from when it made the VM, so how long that takes is no matter of this crash.
    let opened = wait::until(LIMIT, || {
        for path in ["/users/ada", "/admin", "/denied"] {
            let answer = keyed.gateway.send(&format!("GET {path}"), &["x-user-id: evil"]);
            assert!([401, 403, 503].contains(&answer.status), "{path}: {answer:?}");
        }
        let answer = keyed.gateway.get("/users/ada", &good);
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    assert!(opened.is_some());
    assert_eq!(keyed.gateway.arrived(), ["/users/ada"; 2], "nothing passed meanwhile");
    assert_eq!(keyed.gateway.get("/users/ada", &good).status, 200);
    assert_eq!(keyed.fetches(), 1, "the new one began with the keys of the old one");
}

#[test]
fn a_crash_is_one_workers_business() {
    let (keyed, key) = trapping(2);
    let request = head("GET /users/ada", &[&bearer(&key.token(&claims("ada")))]);
    let address = keyed.gateway.address().replace(':', "_");
    let at_first = || keyed.gateway.stat(&format!("listener.{address}.worker_0.downstream_cx_total"));
    // A new connection goes to either worker; the first one's own counter says to which.
    let mut workers: [Option<Connection>; 2] = [None, None];
    let both = wait::until(LIMIT, || {
        let before = at_first();
        let mut connection = keyed.gateway.connect();
        assert_eq!(connection.send(&request).unwrap().status, 200);
        workers[usize::from(at_first() == before)] = Some(connection);
        workers.iter().all(Option::is_some).then_some(())
    });
    let ([Some(mut first), Some(mut second)], Some(())) = (workers, both) else {
        panic!("all connections went to one worker");
    };
    assert_eq!(first.send(&deadly()).unwrap().status, 503);
    for _ in 0..20 {
        assert_eq!(second.send(&request).unwrap().status, 200, "the other worker serves on");
    }
    assert!(!keyed.gateway.arrived().contains(&"/public".to_owned()));
    assert_eq!(keyed.fetches(), 1);
}
