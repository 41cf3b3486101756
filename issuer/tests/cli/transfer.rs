use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::program::{PASSWORD, Serving, run, text};

/// bcrypt of [`PASSWORD`], as another system would have it.
fn foreign_hash(version: bcrypt::Version) -> String {
    bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().format_for_version(version)
}

fn line(email: &str) -> Value {
    json!({"email": email, "password_hash": foreign_hash(bcrypt::Version::TwoY)})
}

fn import(folder: &Path, arguments: &[&str], lines: &str) -> (Option<i32>, String, String) {
    let output = run(folder, &[&["users", "import"], arguments].concat(), lines);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn export(folder: &Path) -> String {
    let output = run(folder, &["users", "export"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout)
}

pub(crate) fn count(folder: &Path, query: &str) -> i64 {
    let database = Connection::open(folder.join("data/doorward.db")).unwrap();
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn users_of_another_system_log_in_with_the_passwords_that_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let versions = [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY];
    let lines = versions.into_iter().enumerate().map(|(number, version)| {
        let mut line = line(&format!("user{number}@example.test"));
        line["password_hash"] = foreign_hash(version).into();
        line["username"] = format!("user{number}").into();
        line["roles"] = json!(["admin", "user"]);
        line["created_at"] = "2020-01-02T03:04:05Z".into();
        line.to_string() + "\n"
    });
    let (code, told, errors) = import(folder, &[], &lines.collect::<String>());
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "3 imported, 0 had an account already, 0 refused\n"),
        "{errors}"
    );
    assert_eq!(
        count(folder, "SELECT count(*) FROM outbox WHERE kind = 'user.created'"),
        3,
        "and all is told"
    );
    let recorded = "SELECT count(*) FROM audit WHERE action = 'user.created' AND actor IS NULL";
    assert_eq!(count(folder, recorded), 3, "and all is on record");

    let serving = Serving::start(folder);
    for number in 0..3 {
        for login in [format!("user{number}"), format!("user{number}@example.test")] {
            let (status, tokens) =
                serving.post("/auth/login", &json!({"login": login, "password": PASSWORD}));
            assert_eq!(status, 200, "{tokens}");
        }
        let body = json!({"login": format!("user{number}"), "password": "S3cureP@st"});
        assert_eq!(serving.post("/auth/login", &body).0, 401);
    }
    let peppered = count(folder, "SELECT count(*) FROM users WHERE password_scheme = 'bcrypt-hmac-sha384'");
    assert_eq!(peppered, 3, "the first login has made a hash of our own");
    let users: Vec<Value> = export(folder).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(users.iter().all(|user| user["created_at"] == "2020-01-02T03:04:05Z"), "{users:?}");
}

#[test]
fn an_export_is_imported_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serving = Serving::start(folder);
    for email in ["a@b.com", "b@b.com", "c@b.com"] {
        assert_eq!(serving.post("/auth/register", &json!({"email": email, "password": PASSWORD})).0, 201);
    }
    let exported = export(folder);
    assert_eq!(exported.lines().count(), 3);
    let (code, told, errors) = import(folder, &[], &exported);
    assert_eq!((code, told.as_str()), (Some(0), "0 imported, 3 had an account already, 0 refused\n"));
    assert!(errors.contains("line 2: email has an account already; passed over"), "{errors}");

    let database = Connection::open(folder.join("data/doorward.db")).unwrap();
    database.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM users WHERE email <> 'c@b.com'").unwrap();
    let (code, _, errors) = import(folder, &[], &exported);
    assert_eq!(code, Some(1));
    assert_eq!(errors.matches("id belonged to a user who was deleted; leave it out").count(), 2, "{errors}");
    // As in a restored database, where nothing of them is under way.
    database.execute_batch("DELETE FROM outbox").unwrap();
    let (code, told, _) = import(folder, &[], &exported);
    assert_eq!((code, told.as_str()), (Some(0), "2 imported, 1 had an account already, 0 refused\n"));
    assert_eq!(export(folder), exported, "the same, to the id and the hash");
    let (status, tokens) = serving.post("/auth/login", &json!({"login": "a@b.com", "password": PASSWORD}));
    assert_eq!(status, 200, "{tokens}");

    // Where there is another ring the hashes would be worth nothing.
    let elsewhere = tempfile::tempdir().unwrap();
    let (code, told, errors) = import(elsewhere.path(), &[], &exported);
    assert_eq!((code, told.as_str()), (Some(1), "0 imported, 0 had an account already, 3 refused\n"));
    assert!(errors.contains("line 1: password_pepper is not in the key ring of this issuer"), "{errors}");
}

#[test]
fn a_bad_line_is_named_and_the_others_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let with = |email: &str, field: &str, value: Value| {
        let mut line = line(email);
        line[field] = value;
        line.to_string()
    };
    let long = with("h@b.com", "username", "x".repeat(70_000).into());
    let id = json!("0b1fd2a8-35b0-4d2c-8f5e-0d8f3f2f4a10");
    let lines = [
        line("a@b.com").to_string(),
        "hush".to_owned(),
        with("nobody", "username", "no".into()),
        with("b@b.com", "roles", json!(["PILOT"])),
        String::new(),
        with("c@b.com", "password_hash", format!("$2b$31${}", "a".repeat(53)).into()),
        with("d@b.com", "id", id.clone()),
        with("e@b.com", "id", id),
        with("A@b.com", "username", "other".into()),
        with("f@b.com", "username", "taken".into()),
        with("g@b.com", "username", "Taken".into()),
        long,
        line("z@b.com").to_string(),
    ];
    // One at a time, so that it is certain which of two comes second.
    let (mut all, mut told, mut errors) = (String::new(), Vec::new(), String::new());
    for line in &lines {
        let (code, summary, said) = import(folder, &[], &format!("{line}\n"));
        assert!(code == Some(0) || said.contains("1 lines were refused"), "{said}");
        told.push(summary);
        errors.push_str(&said);
        writeln!(all, "{line}").unwrap();
    }
    for error in [
        "line 1: is not one JSON object\n",
        "line 1: email must have the form name@domain; username must have 3 to 32 characters",
        "line 1: roles has no role PILOT",
        "line 1: password_hash must have a cost between 4 and 16",
        "line 1: id belongs to another user",
        "line 1: username belongs to another user",
        "line 1: is not UTF-8, or longer than 64 KiB",
    ] {
        assert!(errors.contains(error), "{error} is not in {errors}");
    }
    assert!(!errors.contains("hush"), "{errors}");
    let imported = told.iter().filter(|told| told.starts_with("1 imported")).count();
    assert_eq!(imported, 4, "{told:?}");
    assert_eq!(count(folder, "SELECT count(*) FROM users"), 4);

    let again = tempfile::tempdir().unwrap();
    let file = again.path().join("users.jsonl");
    fs::write(&file, &all).unwrap();
    let dry = import(again.path(), &["users.jsonl", "--dry-run"], "");
    assert_eq!(dry.0, Some(1));
    assert_eq!(count(again.path(), "SELECT count(*) FROM users"), 0, "nothing is written");
    let (code, told, errors) = import(again.path(), &["users.jsonl"], "");
    assert_eq!(
        (code, told.as_str()),
        (Some(1), "4 imported, 1 had an account already, 7 refused\n"),
        "{errors}"
    );
    for line in [2, 3, 4, 6, 12] {
        assert!(errors.contains(&format!("line {line}: ")), "{errors}");
    }
    assert_eq!(errors.lines().last().unwrap().matches("7 lines were refused").count(), 1, "{errors}");
}

#[test]
fn an_export_into_a_file_is_for_its_owner_alone_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lines: String =
        (0..1200).map(|n| line(&format!("user{n}@example.test")).to_string() + "\n").collect();
    fs::write(folder.join("users.jsonl"), lines).unwrap();
    let (_, told, errors) = import(folder, &["users.jsonl"], "");
    assert_eq!(told, "1200 imported, 0 had an account already, 0 refused\n", "{errors}");
    assert!(errors.is_empty(), "no bar where there is no terminal: {errors}");
    let output = run(folder, &["users", "export", "--output", "out.jsonl"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = folder.join("out.jsonl");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1200, "more than one page");
    let output = run(folder, &["users", "export", "--output", "out.jsonl"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("out.jsonl cannot be made"), "{output:?}");
    let missing = import(folder, &["none.jsonl"], "");
    assert!(missing.0 == Some(1) && missing.2.contains("none.jsonl cannot be read"), "{missing:?}");
}
