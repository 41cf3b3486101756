use super::*;
use std::io::Write as _;

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let path = written(file);
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    Config::read(Some(path.path()), environment.collect::<Vec<(OsString, OsString)>>())
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn names(config: &Config) -> Vec<&str> {
    config.roles.iter().map(|role| role.name.as_str()).collect()
}

/// The only mistake, as printed.
fn mistake(file: &str, environment: &[(&str, &str)]) -> String {
    let error = read(file, environment).err().expect("this configuration must be refused");
    assert_eq!(error.mistakes.len(), 1, "{error}");
    error.mistakes[0].to_string()
}

#[test]
fn nothing_given_yields_the_documented_defaults() {
    let config = Config::read(None, []).unwrap();
    assert_eq!(config.server.public.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.management.to_string(), "127.0.0.1:9090");
    assert_eq!(config.server.trusted_hops, 0);
    assert!(
        matches!(&config.store, Store::Sqlite { path, master_key: None } if path == Path::new("data/doorward.db"))
    );
    assert_eq!(config.token.issuer, "http://localhost:8080");
    assert_eq!(config.token.audiences, ["api"]);
    assert_eq!(config.token.client_id, "first-party");
    assert_eq!(config.token.algorithm, Algorithm::Es256);
    assert_eq!(config.token.access_ttl, Duration::from_secs(900));
    assert_eq!(config.token.refresh_ttl, Duration::from_secs(86_400));
    assert_eq!(config.token.session_ttl, Duration::from_secs(2_592_000));
    assert_eq!(config.rotate_keys_every, Duration::from_secs(2_592_000));
    assert_eq!((config.password.cost, config.password.min_length, config.password.queue), (12, 10, 64));
    assert_eq!((config.limits.pair_free, config.limits.account, config.limits.address), (5, 100, 300));
    assert_eq!(config.limits.pair_longest_wait, Duration::from_secs(900));
    assert_eq!(config.limits.account_window, Duration::from_secs(3600));
    assert_eq!(config.limits.address_window, Duration::from_secs(600));
    assert_eq!(config.alert_hours, None);
    assert!(config.registration_open);
    assert_eq!(names(&config), ["user", "admin"]);
    assert_eq!(config.telemetry.log, "info");
}

#[test]
fn the_environment_overrides_the_file() {
    let file = "roles = ['PATIENT']\n[server]\npublic = '127.0.0.1:1'\ntrusted_hops = 2\n[token]\naudiences = ['web']";
    let environment = [
        ("DOORWARD_SERVER__PUBLIC", "127.0.0.1:2"),
        ("DOORWARD_TOKEN__AUDIENCES", "web, mobile"),
        ("DOORWARD_PASSWORD__COST", "11"),
        ("DOORWARD_REGISTRATION__OPEN", "false"),
        ("DOORWARD_ROLES", "PROVIDER,PATIENT"),
        ("PATH", "/bin"),
    ];
    let config = read(file, &environment).unwrap();
    assert_eq!(config.server.public.port(), 2);
    assert_eq!(config.server.trusted_hops, 2);
    assert_eq!(config.token.audiences, ["web", "mobile"]);
    assert_eq!(config.password.cost, 11);
    assert!(!config.registration_open);
    assert_eq!(names(&config), ["PROVIDER", "PATIENT"]);
}

#[test]
fn a_secret_may_lie_in_a_file_and_the_environment_still_wins() {
    let secret = written("from the file, and 32 bytes at least\n");
    let path = secret.path().to_str().unwrap();
    let given = [("DOORWARD_TOKEN__SECRET_FILE", path), ("DOORWARD_TOKEN__ALGORITHM", "HS256")];
    let config = read("[token]\nsecret = 'the file of settings has another one'", &given).unwrap();
    assert_eq!(config.token.secret.unwrap().expose(), "from the file, and 32 bytes at least");

    let both = [("DOORWARD_SERVER__MANAGEMENT_TOKEN", "a"), ("DOORWARD_SERVER__MANAGEMENT_TOKEN_FILE", path)];
    assert!(mistake("", &both).starts_with("server.management_token: is given both"));
    let missing = [("DOORWARD_SERVER__MANAGEMENT_TOKEN_FILE", "/does/not/exist")];
    assert!(
        mistake("", &missing).starts_with("server.management_token_file: names a file that cannot be read")
    );
}

#[test]
fn every_mistake_names_its_key() {
    for (file, key) in [
        ("[server]\npublic = 8080", "server.public: must be an address"),
        ("[server]\npublick = '127.0.0.1:1'", "server.publick: there is no such key"),
        ("[server]\ntrusted_hops = -1", "server.trusted_hops: must be a whole number"),
        ("[store]\nurl = 'postgres://localhost'", "store.url: must be sqlite://PATH or mongodb://"),
        ("[store]\nurl = 'mongodb://localhost/doorward'", "keys.master_key: is required with MongoDB"),
        ("[token]\nissuer = 'localhost'", "token.issuer: must be the URL"),
        ("[token]\naudiences = []", "token.audiences: must name one audience"),
        ("[token]\naudiences = [1]", "token.audiences: must be a list of texts"),
        ("[token]\nalgorithm = 'none'", "token.algorithm: must be ES256, RS256, EdDSA or HS256"),
        ("[token]\nalgorithm = 'HS256'", "token.secret: is required"),
        ("[token]\nsecret = 'this one is long enough for HS256'", "token.secret: is used by"),
        ("[token]\naccess_ttl = '2h'", "token.access_ttl: must be between 1m and 60m"),
        ("[token]\naccess_ttl = 900", "token.access_ttl: must be a duration"),
        ("[token]\nrefresh_ttl = '1s'", "token.refresh_ttl: must not be shorter"),
        ("[token]\nsession_ttl = '1h'", "token.session_ttl: must be between"),
        ("[token]\nold_secret = 'this one is long enough for HS256'", "token.old_secret: is used by"),
        ("[keys]\nrotate_every = '1m'", "keys.rotate_every: must be between 1h and 3650d"),
        ("[keys]\nmaster_key = 'AAAA'", "keys.master_key: must be 32 bytes in base64"),
        ("[password]\ncost = 32", "password.cost: must be between 4 and 16"),
        ("[password]\nmin_score = 5", "password.min_score: must be between 0 and 4"),
        ("[password]\nblocklist = '/does/not/exist'", "password.blocklist: names a file"),
        ("[server]\nmax_connections = 1", "server.max_connections: must be between 16 and"),
        ("[limits]\npair_free = 0", "limits.pair_free: must be between 1 and"),
        ("[limits]\naccount = 'many'", "limits.account: must be a whole number"),
        ("[limits]\nlogins = 5", "limits.logins: there is no such key"),
        ("[limits]\npair_wait = '20m'", "limits.pair_longest_wait: must not be shorter"),
        ("[limits]\npair_memory = '1m'", "limits.pair_memory: must not be shorter"),
        ("[limits]\nfamiliar = '10y'", "limits.familiar: must be between 1s and 365d"),
        ("[alerts]\nhours = '6-22'", "alerts.hours: must be hours in UTC"),
        ("[registration]\nopen = 'perhaps'", "registration.open: must be true or false"),
        ("[telemetry]\nlog = 'doorward=loud'", "telemetry.log: must be a level"),
        ("[telemetry]\nformat = 'xml'", "telemetry.format: must be json or text"),
        ("roles = 'a,,b'", "roles: must be a list of names, or of tables"),
        ("roles = ['a', {description = 'without a name'}]", "roles: must be a list of names, or of tables"),
        ("[[roles]]\nname = 'a'\npermission = ['b']", "roles: must be a list of names, or of tables"),
        ("roles = ['a b']", "roles: every name must have 1 to 64 characters"),
        (
            "roles = [{name = 'a', permissions = ['b c']}]",
            "roles: every permission must have 1 to 64 characters",
        ),
        ("roles = ['a', {name = 'a', permissions = ['b']}]", "roles: names a role twice"),
    ] {
        let message = mistake(file, &[]);
        assert!(message.starts_with(key), "{file:?} gave {message:?}");
    }
}

#[test]
fn a_role_is_a_name_or_a_table() {
    let config =
        read("roles = ['a', {name = 'b', description = 'B', permissions = ['z', 'y']}]", &[]).unwrap();
    assert_eq!(names(&config), ["a", "b"]);
    assert!(config.roles[0].permissions.is_empty());
    let permissions: Vec<_> = config.roles[1].permissions.iter().map(ToString::to_string).collect();
    assert_eq!(
        (config.roles[1].description.as_str(), permissions),
        ("B", vec!["y".to_owned(), "z".to_owned()])
    );
    let shown = config.effective().iter().find(|(key, _)| *key == "roles").unwrap();
    assert_eq!(shown.1, r#"["a", {name = "b", description = "B", permissions = ["z", "y"]}]"#);
}

#[test]
fn the_health_care_preset_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/examples/health-care.toml");
    let config = Config::read(Some(&file), []).unwrap();
    assert_eq!(names(&config), ["PATIENT", "PROVIDER", "ADMIN"]);
    let admin = &config.roles[2].permissions;
    assert!(crate::domain::permit::is_administrator(admin), "its administrators are ours: {admin:?}");
}

#[test]
fn a_mistyped_variable_is_fatal_and_named() {
    let message = mistake("", &[("DOORWARD_SERVER_PUBLIC", "127.0.0.1:1")]);
    assert_eq!(message, "server_public: there is no such key (from the variable DOORWARD_SERVER_PUBLIC)");
    let message = mistake("", &[("DOORWARD_SERVER__PUBLIC", "")]);
    assert!(
        message.starts_with("server.public: ") && message.contains("DOORWARD_SERVER__PUBLIC"),
        "{message}"
    );
}

#[test]
fn variables_of_the_neighbours_are_left_alone() {
    read("", &[("DOORWARD_MANAGEMENT_TOKEN", "t"), ("DOORWARD_TEST_MONGODB_URL", "mongodb://localhost")])
        .unwrap();
}

#[test]
fn mails_need_all_that_a_mail_needs() {
    const MAIL: &str = "[mail]\nsmtp_url = 'smtps://u:p@mail.example.test'\nfrom = 'a@b.test'\n\
                        base_url = 'https://app.example.test/'";
    let Some(Mail::Smtp { letterhead, .. }) = read(MAIL, &[]).unwrap().mail else { panic!("a mail server") };
    assert_eq!(letterhead.base_url, "https://app.example.test");
    assert!(read("", &[]).unwrap().mail.is_none());
    for (line, key) in [
        ("smtp_url = 'http://mail.example.test'", "mail.smtp_url: "),
        ("smtp_url = 'smtp://u:p@mail.example.test'", "mail.smtp_url: would send its password in the clear"),
        ("from = 'nobody'", "mail.from: "),
        ("from = \"a@b.test\\r\\nBcc: c@d.test\"", "mail.from: "),
        ("base_url = 'app.example.test'", "mail.base_url: "),
        ("base_url = 'https://app.example.test/?x'", "mail.base_url: "),
    ] {
        let name = line.split(' ').next().unwrap();
        let others = MAIL.lines().filter(|other| !other.trim().starts_with(name));
        let file = others.chain([line]).collect::<Vec<_>>().join("\n");
        let message = mistake(&file, &[]);
        assert!(message.starts_with(key) && !message.contains("u:p"), "{file}: {message}");
    }
    for name in ["from", "base_url"] {
        let file: Vec<_> = MAIL.lines().filter(|line| !line.trim().starts_with(name)).collect();
        assert_eq!(mistake(&file.join("\n"), &[]), format!("mail.{name}: is required by mail.smtp_url"));
    }
    for (section, key) in [("registration", "confirm_email"), ("login", "require_verified_email")] {
        let switch = format!("[{section}]\n{key} = true\n");
        let needs = format!(
            "{section}.{key}: needs mail.smtp_url, mail.from and mail.base_url, or events.mail_exchange"
        );
        assert_eq!(mistake(&switch, &[]), needs);
        read(&format!("{switch}{MAIL}"), &[]).unwrap();
    }
}

#[test]
fn mails_go_over_the_broker_where_that_is_asked_for() {
    const ON: &str = "[events]\nurl = 'amqp://door:s3cret@mq/'\nmail_exchange = true\n";
    let links = |file: &str| match read(file, &[]).unwrap().mail {
        Some(Mail::Exchange { base_url, .. }) => base_url,
        _ => panic!("{file}: mails do not go to the exchange"),
    };
    assert_eq!(links(ON), None);
    let based =
        format!("{ON}[mail]\nbase_url = 'https://app.example.test/'\n[login]\nrequire_verified_email = true");
    assert_eq!(links(&based).as_deref(), Some("https://app.example.test"));
    assert!(read(&ON.replace("true", "false"), &[]).unwrap().mail.is_none());
    assert_eq!(mistake("[events]\nmail_exchange = true", &[]), "events.mail_exchange: needs events.url");
    let both = mistake(&format!("{ON}[mail]\nsmtp_url = 'smtp://localhost'"), &[]);
    assert_eq!(
        both,
        "mail.smtp_url: is not used with events.mail_exchange: mails go one way; remove one of them"
    );
}

#[test]
fn a_broker_is_named_by_its_url_alone() {
    let config = read("[events]\nurl = 'amqp://door:s3cret@mq/'\nrequired = ['user.created']", &[]).unwrap();
    assert_eq!(config.events.unwrap().required.into_iter().collect::<Vec<_>>(), ["user.created"]);
    assert!(read("", &[]).unwrap().events.is_none());
    for (file, words) in [
        ("[events]\nurl = 'mq.example.test'", "events.url: must be amqp://"),
        ("[events]\nrequired = ['user.created']", "events.required: needs events.url"),
        (
            "[events]\nurl = 'amqp://mq/'\nrequired = ['user.made']",
            "events.required: names \"user.made\"; the types are user.created, user.updated",
        ),
    ] {
        let mistake = mistake(file, &[]);
        assert!(mistake.starts_with(words), "{mistake}");
    }
    let secret = read("", &[("DOORWARD_EVENTS__URL", "amqp://door:s3cret@mq/")]).unwrap();
    assert!(secret.effective().iter().all(|(_, value)| !value.contains("s3cret")));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let error = read("[server]\npublic = 1\n[token]\nissuer = 2\n[unknown]\nkey = 3", &[]).err().unwrap();
    let keys: Vec<_> = error.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["server.public", "token.issuer", "unknown.key"]);
}

#[test]
fn a_file_that_is_not_toml_is_named_without_its_text() {
    let message = mistake("[token]\nsecret = hush-hush", &[]);
    assert!(message.contains("is not valid TOML near line 2"), "{message}");
    assert!(!message.contains("hush"), "{message}");
}

#[test]
fn secrets_are_never_printed() {
    let file = format!(
        "[store]\nurl = 'mongodb://root:hush-url@db/doorward'\n[keys]\nmaster_key = '{MASTER_KEY}'\n\
         [server]\nmanagement_token = 'hush-management'\n\
         [token]\nalgorithm = 'HS256'\nsecret = 'hush-token-hush-token-hush-token'"
    );
    let config = read(&file, &[]).unwrap();
    let Store::MongoDb { url, master_key } = &config.store else { panic!("that is the URL of a MongoDB") };
    let printed = format!("{:?}{:?}{url:?}{:?}", config.server, config.token, config.effective());
    assert!(!printed.contains("hush") && !printed.contains(MASTER_KEY), "{printed}");
    assert_eq!(*master_key.to_base64(), MASTER_KEY);
}
