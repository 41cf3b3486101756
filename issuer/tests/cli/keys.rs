use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::program::{PASSWORD, Serving, eventually, finish, program, run, text};

/// The cells of `keys list` without its head.
fn list(folder: &Path) -> Vec<Vec<String>> {
    let output = run(folder, &["keys", "list"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = text(&output.stdout);
    assert!(printed.starts_with("KIND "), "{printed}");
    printed.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout)
}

fn refuse(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments, "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text(&output.stderr)
}

fn published(serving: &Serving) -> Vec<String> {
    let set = serving.get("/.well-known/jwks.json");
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn log_in(serving: &Serving) -> Value {
    let (status, tokens) = serving.post("/auth/login", &json!({"login": "a@b.com", "password": PASSWORD}));
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn valid(serving: &Serving, tokens: &Value) -> bool {
    serving.post("/auth/validate", &json!({"token": tokens["access_token"]})).1["valid"] == true
}

#[test]
fn a_running_issuer_follows_rotation_and_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serving = Serving::start(folder);
    serving.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    let tokens = log_in(&serving);
    let keys = list(folder);
    let column = |column: usize| keys.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
    assert_eq!(column(0), ["mail", "pepper", "refresh", "signing"]);
    assert_eq!(column(1), ["-", "-", "-", "ES256"]);
    assert_eq!(column(2), ["active"; 4]);
    assert_eq!(column(4), ["0m"; 4]);
    let first = keys[3][8].clone();
    assert_eq!(published(&serving), std::slice::from_ref(&first));

    let made = succeed(folder, &["keys", "rotate"]);
    let second = made.split([' ', ',']).nth(3).unwrap().to_owned();
    assert!(made.starts_with(&format!("made: signing key {second}, in use from ")), "{made}");
    assert!(succeed(folder, &["keys", "rotate"]).starts_with(&format!("made before: signing key {second}")));
    eventually("the next key", || published(&serving).contains(&second));
    let states = |wanted: &str| list(folder).iter().filter(|row| row[2] == wanted).count();
    assert_eq!((states("active"), states("next")), (4, 1));
    for kind in ["pepper", "refresh", "mail"] {
        assert!(
            succeed(folder, &["keys", "rotate", "--kind", kind]).starts_with(&format!("made: {kind} key"))
        );
    }
    assert_eq!((states("active"), states("next")), (4, 4));

    assert!(valid(&serving, &tokens));
    let revoked = succeed(folder, &["keys", "revoke", &first]);
    let third = revoked.lines().nth(1).unwrap().strip_prefix("in use from now on: ").unwrap().to_owned();
    assert!(revoked.starts_with(&format!("revoked: {first}\n")), "{revoked}");
    eventually("the end of the first key", || !published(&serving).contains(&first));
    assert!(!valid(&serving, &tokens));
    assert!(published(&serving).contains(&third) && valid(&serving, &log_in(&serving)));
    assert_eq!(succeed(folder, &["keys", "revoke", &first]), format!("revoked before: {first}\n"));
    let mine = list(folder).into_iter().find(|row| row[8] == first).unwrap();
    assert_eq!(mine[2], "revoked");
}

#[test]
fn what_cannot_be_done_to_a_key_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(refuse(folder, &["keys", "rotate"]).contains("the store has no signing key; start the issuer"));
    assert_eq!(list(folder), [] as [Vec<String>; 0]);
    drop(Serving::start(folder));
    let pepper = list(folder).into_iter().find(|row| row[0] == "pepper").unwrap();
    assert!(refuse(folder, &["keys", "revoke", &pepper[8]]).contains("is a pepper"));
    assert!(refuse(folder, &["keys", "revoke", "nobody"]).contains("the ring has no key nobody"));
    // Every 64th name of a signing key begins like an option.
    assert!(refuse(folder, &["keys", "revoke", "-nobody"]).contains("the ring has no key -nobody"));
    let mut shared = program(folder, &["keys", "rotate"]);
    shared.env("DOORWARD_TOKEN__ALGORITHM", "HS256");
    shared.env("DOORWARD_TOKEN__SECRET", "a secret that is long enough for it");
    let output = finish(shared.spawn().unwrap(), "");
    assert!(text(&output.stderr).contains("token.old_secret"), "{output:?}");
    assert_eq!(list(folder).len(), 4, "nothing was changed");
}

#[test]
fn the_master_key_is_changed_under_a_running_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serving = Serving::start(folder);
    serving.post("/auth/register", &json!({"email": "a@b.com", "password": PASSWORD}));
    let tokens = log_in(&serving);
    let old = fs::read_to_string(folder.join("data/doorward.db.master-key")).unwrap();

    let told = succeed(folder, &["keys", "rotate", "--master", "new-key"]);
    assert!(told.starts_with("4 keys are sealed under the master key in new-key now\n"), "{told}");
    let new = fs::read_to_string(folder.join("new-key")).unwrap();
    assert_eq!(fs::metadata(folder.join("new-key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(new != old && !told.contains(new.trim()), "{told}");
    // The running issuer says so, and goes on.
    serving.wait_for_log("the keys in the store have another master key by now");
    assert!(valid(&serving, &tokens) && valid(&serving, &log_in(&serving)));
    assert!(refuse(folder, &["keys", "rotate"]).contains("keys.master_key does not open the keys"));
    let again = succeed(folder, &["keys", "rotate", "--master", "new-key"]);
    assert!(again.starts_with("the keys are sealed under the master key in new-key already\n"), "{again}");

    let log = serving.terminate();
    assert!(!log.contains(old.trim()) && !log.contains(new.trim()));
    fs::rename(folder.join("new-key"), folder.join("data/doorward.db.master-key")).unwrap();
    let restarted = Serving::start(folder);
    assert!(valid(&restarted, &tokens) && valid(&restarted, &log_in(&restarted)));
    succeed(folder, &["keys", "rotate"]);
}

#[test]
fn a_change_of_the_master_key_that_is_killed_happened_or_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(Serving::start(folder));
    let all_but_age = || {
        let mut keys = list(folder);
        keys.iter_mut().for_each(|row| drop(row.remove(4)));
        keys
    };
    let before = all_but_age();
    for round in 0..12 {
        let new = format!("new-key-{round}");
        let wal = folder.join("data/doorward.db-wal");
        let written = || fs::metadata(&wal).map_or(0, |wal| wal.len());
        let was = written();
        let mut changing = program(folder, &["keys", "rotate", "--master", &new]).spawn().unwrap();
        // At one of three moments: when there is a new key, when something was written, or a little later.
        let mut until = |reached: &dyn Fn() -> bool| {
            while !reached() && changing.try_wait().unwrap().is_none() {
                thread::yield_now();
            }
        };
        until(&|| folder.join(&new).exists());
        if round % 3 > 0 {
            until(&|| written() != was);
        }
        if round % 3 > 1 {
            thread::yield_now();
        }
        changing.kill().unwrap();
        changing.wait().unwrap();

        let told = succeed(folder, &["keys", "rotate", "--master", &new]);
        assert!(told.contains("sealed under the master key in"), "{told}");
        fs::rename(folder.join(&new), folder.join("data/doorward.db.master-key")).unwrap();
        assert_eq!(all_but_age(), before, "round {round}");
    }
    drop(Serving::start(folder));
}

#[test]
fn a_master_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(Serving::start(folder));
    fs::write(folder.join("new-key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    fs::set_permissions(folder.join("new-key"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = refuse(folder, &["keys", "rotate", "--master", "new-key"]);
    assert!(refused.contains("may be read by others"), "{refused}");
    assert!(!refused.contains("AAECAw"), "{refused}");
    succeed(folder, &["keys", "rotate"]);
}
