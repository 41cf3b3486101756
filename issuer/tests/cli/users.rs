use serde_json::{Value, json};

use super::program::{PASSWORD, Serving, run, text};
use super::transfer::count;

#[test]
fn users_are_created_from_the_command_line_and_can_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["users", "create", "--email", "Root@example.test", "--username", "root", "--role", "admin"];
    let output = run(folder.path(), &arguments, &format!("{PASSWORD}\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&user["email"], &user["username"]), (&json!("root@example.test"), &json!("root")));
    assert_eq!(user["roles"], json!(["admin"]));

    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "An0ther-g00d-one\n").unwrap();
    let arguments = ["users", "create", "--email", "user@example.test", "--password-file", "password"];
    let output = run(folder.path(), &arguments, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(user["roles"], json!(["user"]));

    let recorded = "SELECT count(*) FROM audit WHERE action = 'user.created' AND actor IS NULL";
    assert_eq!(count(folder.path(), recorded), 2, "what the operator does is on record");

    let serving = Serving::start(folder.path());
    for (login, password) in [("root", PASSWORD), ("user@example.test", "An0ther-g00d-one")] {
        let (status, tokens) = serving.post("/auth/login", &json!({"login": login, "password": password}));
        assert_eq!(status, 200, "{login}: {tokens}");
    }
    let (_, tokens) = serving.post("/auth/login", &json!({"login": "root", "password": PASSWORD}));
    let (_, answer) = serving.post("/auth/validate", &json!({"token": tokens["access_token"]}));
    let permissions = &answer["user"]["permissions"];
    assert_eq!(
        permissions,
        &json!(["audit:read", "roles:assign", "roles:read", "roles:write", "users:read", "users:write"])
    );
}

#[test]
fn the_command_line_holds_to_the_same_rules() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, input, sentence) in [
        (&["--email", "a@b.com"][..], "short", "password must have at least 10 characters"),
        (&["--email", "nobody"], PASSWORD, "email must have the form name@domain"),
        (&["--email", "a@b.com", "--role", "PILOT"], PASSWORD, "roles has no role PILOT"),
        (&["--email", "a@b.com", "--password-file", "none"], "", "the password cannot be read from none"),
    ] {
        let output = run(folder.path(), &[&["users", "create"], arguments].concat(), input);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(sentence), "{sentence} is not in {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(
        run(folder.path(), &["users", "create", "--email", "a@b.com"], PASSWORD).status.code(),
        Some(0)
    );
    let output = run(folder.path(), &["users", "create", "--email", "a@b.com"], PASSWORD);
    assert!(text(&output.stderr).contains("the e-mail address is taken"), "{output:?}");
}
