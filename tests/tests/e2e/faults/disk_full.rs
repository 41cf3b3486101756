//! A disk without room under SQLite: a small file system of the issuer's own, which ends with it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use doorward_tests::http::Client;
use doorward_tests::parts::{Issuer, Store, issuer};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::Workdir;
use nix::unistd::geteuid;
use rusqlite::Connection;
use serde_json::json;

use crate::support::alone;
use crate::support::crowd::assert_unavailable;
use crate::support::whole::{PASSWORD, text};

#[test]
fn a_full_disk_refuses_writes_and_loses_none() {
    let workdir = Workdir::new().unwrap();
    let disk = workdir.sub("disk").unwrap();
    let issuer = start(&workdir, &disk);
    let door = Client::new(&alone::url(&issuer));
    let register = |email: &str| {
        let body = json!({ "email": email, "password": PASSWORD });
        door.post("/auth/register", &body).unwrap()
    };
    let log_in = |email: &str| {
        let body = json!({ "email": email, "password": PASSWORD });
        door.post("/auth/login", &body).unwrap()
    };
    assert_eq!(register("ada@example.test").status, 201);
    let tokens = log_in("ada@example.test").json().unwrap();

    // Seen from here, the issuer's disk is below its process.
    let disk = PathBuf::from(format!("/proc/{}/root{}", issuer.process.pid(), disk.display()));
    let ballast = disk.join("ballast");
    fill(&ballast);
    // The files have some room left inside.
    let mut registered = Vec::new();
    let refused = (0..3_000).find_map(|number| {
        let email = format!("user-{number}@example.test");
        let reply = register(&email);
        if reply.status != 201 {
            return Some((email, reply));
        }
        registered.push(email);
        None
    });
    let (unlucky, reply) = refused.expect("the disk is full at some time");
    assert_unavailable(&reply);
    let me = door.get_as(&text(&tokens, "access_token"), "/auth/me").unwrap();
    assert_eq!(me.status, 200, "reading needs no room: {me:?}");

    fs::remove_file(&ballast).unwrap();
    assert_eq!(register(&unlucky).status, 201, "there was nothing left of the first attempt");
    for email in registered.iter().chain([&unlucky]) {
        assert_eq!(log_in(email).status, 200, "{email}");
    }
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(door.post("/auth/refresh", &refresh).unwrap().status, 200);
    alone::assert_calm(&issuer);

    // SQLite would follow the link to the process's root as a path, and look for its files on our side.
    for file in ["doorward.db", "doorward.db-wal"] {
        fs::copy(disk.join(file), workdir.path().join(file)).unwrap();
    }
    let database = Connection::open(workdir.path().join("doorward.db")).unwrap();
    let ask = |question: &str| database.query_row(question, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    let users = (registered.len() + 2).to_string();
    assert_eq!(ask("SELECT CAST(count(*) AS TEXT) FROM users"), users);
    assert_eq!(ask("SELECT CAST(count(*) AS TEXT) FROM outbox WHERE kind = 'user.created'"), users);
}

fn start(workdir: &Workdir, disk: &Path) -> Issuer {
    let issuer = Prepared::from_env().unwrap().programs.issuer;
    let database = format!("sqlite://{}/doorward.db", disk.display());
    Issuer::start(issuer::Setup {
        binary: &on_a_disk_of_its_own(workdir.path(), disk, &issuer),
        dir: workdir.path(),
        log: workdir.path().join("issuer.log"),
        public: Port::any().unwrap(),
        store: Store::Sqlite,
        password_cost: Some(4),
        events: None,
        settings: &[("store.url", &database)],
    })
    .unwrap()
}

/// A program that mounts a disk of three megabytes where only it and the issuer, which it becomes, can see it.
fn on_a_disk_of_its_own(dir: &Path, disk: &Path, issuer: &Path) -> PathBuf {
    // Whoever is not root is root in a namespace of his own.
    let user = if geteuid().is_root() { "" } else { "--user --map-root-user" };
    let script = format!(
        "#!/bin/sh\n\
         exec unshare --mount {user} sh -c 'mount -t tmpfs -o size=3m tmpfs \"$0\" && exec \"$@\"' \
         '{}' '{}' \"$@\"\n",
        disk.display(),
        issuer.display()
    );
    let program = dir.join("issuer-on-a-small-disk");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program
}

/// Writes until there is no room.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}
