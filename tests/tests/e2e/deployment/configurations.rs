//! The configurations that containers run with, in the programs that the images hold: secrets made by the script of
//! `docker-compose.yml`, MongoDB under the issuer, and the gateway in front. Only names and ports are this machine's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::parts::{Echo, KeyServer, Listener, QueueKind, Rabbitmq, UserService};
use doorward_tests::ports::Port;
use doorward_tests::prepared::Prepared;
use doorward_tests::process::{Launch, Running, Workdir};
use doorward_tests::{files, random, wait};
use serde_json::{Value, json};

use super::compose::compose;
use crate::support::shipped::{documents, list, string, text, yaml};
use crate::support::told::broker;
use crate::support::whole::PASSWORD;

const SECRETS: &str = "/run/secrets/doorward";
/// Where the plugin stands in an Envoy configuration.
const PLUGIN: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config\
                      /config";
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_the_containers_run_with_runs() {
    let parts = Containers::start();
    let credentials = json!({"email": "ada@example.test", "password": PASSWORD});
    let registered = parts.gate.post("/auth/register", &credentials).unwrap();
    assert_eq!(registered.status, 201, "{registered:?}");
    let tokens = parts.gate.post("/auth/login", &credentials).unwrap().json().unwrap();
    let path = format!("/users/{}", string(&registered.json().unwrap()["id"]));
    assert_eq!(parts.gate.get_as(string(&tokens["access_token"]), &path).unwrap().status, 200);
    assert_eq!(parts.echo.received(&path).len(), 1);
    assert_eq!(parts.gate.get(&path).unwrap().status, 401);
}

#[test]
fn what_containers_announce_is_heard_and_accounts_may_do_no_more() {
    let workdir = Workdir::new().unwrap();
    let broker = broker(&workdir);
    let parts = Containers::start_with(Some(&broker));
    let made = |path: &str| fs::read_to_string(parts.workdir.path().join(path)).unwrap();
    let address = |url: String| replaced(&url, "@rabbitmq:5672/", &format!("@{}/", authority(&broker)));

    // The service as docker-compose.yml runs it, with the address that this machine has for the broker.
    let amqp_url = workdir.path().join("amqp-url");
    fs::write(&amqp_url, address(made("user-service/amqp-url"))).unwrap();
    let told = compose()["services"]["user-service"]["environment"].take();
    let variables = told.as_object().unwrap().iter();
    let variables: Vec<_> = variables.map(|(name, value)| (name.as_str(), string(value))).collect();
    assert_eq!(variables, [("AMQP_URL_FILE", "/run/secrets/doorward/amqp-url")]);
    let binary = Prepared::from_env().unwrap().programs.user_service;
    let log = workdir.path().join("service.log");
    let service = UserService::start_with(&binary, workdir.path(), log, |launch| {
        launch.env("AMQP_URL_FILE", amqp_url.display().to_string())
    })
    .unwrap();

    let credentials = json!({"email": "ada@example.test", "password": PASSWORD});
    let registered = parts.gate.post("/auth/register", &credentials).unwrap().json().unwrap();
    let path = format!("/users/{}", string(&registered["id"]));
    let client = Client::new(&service.url());
    let as_gateway = [("x-user-id", "somebody else")];
    let profile = wait::until(LIMIT, || {
        let reply = client.send("GET", &path, &as_gateway, Vec::new()).ok()?;
        (reply.status == 200).then(|| reply.json().unwrap())
    });
    assert_eq!(profile.expect("the profile appears")["email"], "ada@example.test");

    // The service hears events, and nothing that may hold a live link.
    let listener = Listener::connect(&address(made("user-service/amqp-url"))).unwrap();
    let refused =
        listener.bind_to("auth.mail", "user-service.users", QueueKind::Classic, &["#"]).unwrap_err();
    assert!(refused.to_string().contains("ACCESS_REFUSED"), "{refused}");
}

#[test]
fn probes_see_that_it_is_ready_and_can_do_nothing_else() {
    let parts = Containers::start();
    let probes = Client::new(&parts.probes.url());
    assert_eq!(probes.get("/ready").unwrap().status, 200);
    let metrics = probes.get("/stats/prometheus").unwrap();
    assert!(String::from_utf8(metrics.body).unwrap().contains("envoy_server_live"));
    for path in
        ["/", "/config_dump", "/stats", "/clusters", "/quitquitquit", "/ready/", "/ready/../config_dump"]
    {
        assert_eq!(probes.get(path).unwrap().status, 404, "{path}");
    }
    for path in ["/ready", "/quitquitquit", "/drain_listeners", "/logging?level=trace"] {
        assert_eq!(probes.send("POST", path, &[], Vec::new()).unwrap().status, 404, "{path}");
    }
}

#[test]
fn the_health_checks_of_the_containers_tell_alive_from_dead() {
    let mut parts = Containers::start();
    let (issuer, gateway) = (parts.management.number(), parts.probes.number());
    let healthy = |service: &str, from: u16, to: u16| health_check(service, from, to).status.success();
    assert!(healthy("issuer", 9090, issuer));
    assert!(healthy("gateway", 9902, gateway));
    assert!(healthy("user-service", 8081, parts.echo.port()));
    parts.issuer.take().unwrap().kill();
    let noticed = wait::until(LIMIT, || (!healthy("issuer", 9090, issuer)).then_some(()));
    assert!(noticed.is_some());
    let unwell = KeyServer::start().unwrap();
    assert!(!healthy("gateway", 9902, unwell.port()), "somebody answers, but with another status");
}

#[test]
fn a_gateway_that_stops_asks_its_connections_to_end() {
    let parts = Containers::start();
    let pod = gateway_container();
    let command = list(&pod["lifecycle"]["preStop"]["exec"], "command");
    let script = string(&command[2]);
    let script = replaced(script, "127.0.0.1/9901", &format!("127.0.0.1/{}", parts.admin.number()));
    // Everything but the wait for it to take effect.
    let script = replaced(&script, "sleep 20", "true");
    let done = Command::new(string(&command[0])).arg(string(&command[1])).arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    let closing = wait::until(LIMIT, || {
        let answer = parts.gate.get("/health").ok()?;
        (answer.header("connection") == Some("close")).then_some(answer.status)
    });
    assert_eq!(closing, Some(200), "still served, and told to come back elsewhere");
}

#[test]
fn the_containers_gateway_is_the_shipped_one_under_other_names() {
    let (mut shipped, mut ours) = (yaml("envoy/envoy.yaml"), yaml("deploy/envoy.yaml"));
    for part in ["admin", "stats_config", "overload_manager"] {
        assert_eq!(shipped[part], ours[part], "{part}");
    }
    // Whose tokens count, and what the plugin may see of the environment, is each deployment's own.
    for config in [&mut shipped, &mut ours] {
        let plugin = config.pointer_mut(PLUGIN).expect("the plugin");
        plugin["vm_config"]["environment_variables"].take();
        assert!(plugin["configuration"]["value"]["providers"].take().is_array());
    }
    assert_eq!(part(&shipped, "listeners", "plain"), part(&ours, "listeners", "plain"));
    for name in ["issuer", "issuer-management", "users"] {
        let (mut shipped, mut ours) = (part(&shipped, "clusters", name), part(&ours, "clusters", name));
        assert_ne!(shipped["load_assignment"].take(), ours["load_assignment"].take());
        assert_eq!(shipped, ours, "{name}");
    }
}

#[test]
fn the_secrets_are_made_once_for_each_owner_alone_and_are_no_two_times_alike() {
    let (first, second) = (Workdir::new().unwrap(), Workdir::new().unwrap());
    let (before, other) = (make_secrets(first.path()), make_secrets(second.path()));
    assert_eq!(make_secrets(first.path()), before, "a second start changes nothing");
    assert_eq!(before.len(), 9);
    for ((name, made), (_, elsewhere)) in before.iter().zip(&other) {
        assert!(made != elsewhere || name == "issuer/complete", "{name} is the same twice");
        let mode = fs::metadata(first.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400, "{name}");
    }
    // A start that was cut short is begun afresh: passwords that belong together are made together.
    fs::remove_file(first.path().join("issuer/complete")).unwrap();
    let after = make_secrets(first.path());
    assert!(before.iter().zip(&after).all(|(old, new)| old != new || old.0 == "issuer/complete"));
}

/// Makes the accounts of these definitions, with their permissions, in a broker that runs.
fn give_accounts(broker: &Rabbitmq, definitions: &Path) {
    let definitions: Value = serde_json::from_slice(&fs::read(definitions).unwrap()).unwrap();
    for user in list(&definitions, "users") {
        broker.control(&["add_user", string(&user["name"]), string(&user["password"])]).unwrap();
    }
    for one in list(&definitions, "permissions") {
        let words = ["user", "configure", "write", "read"].map(|member| string(&one[member]));
        broker.control(&["set_permissions", words[0], words[1], words[2], words[3]]).unwrap();
    }
}

/// Where a broker listens.
fn authority(broker: &Rabbitmq) -> String {
    let url = broker.url();
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// The issuer on MongoDB, the gateway, and a recorder in the place of the service.
struct Containers {
    gate: Client,
    echo: Echo,
    issuer: Option<Running>,
    management: Port,
    probes: Port,
    admin: Port,
    _gateway: Running,
    _ports: [Port; 3],
    workdir: Workdir,
}

impl Containers {
    /// Without a broker: it is waited for, and nobody notices.
    fn start() -> Self {
        Self::start_with(None)
    }

    /// With the accounts that the broker's container gets.
    fn start_with(broker: Option<&Rabbitmq>) -> Self {
        let prepared = Prepared::from_env().unwrap();
        let workdir = Workdir::new().unwrap();
        let [public, management, plain, probes, admin] = [(); 5].map(|()| Port::any().unwrap());
        make_secrets(workdir.path());
        let url = prepared.mongodb_url.replacen("/?", &format!("/{}?", random::name()), 1);
        let secrets = workdir.path().join("issuer");
        fs::remove_file(secrets.join("store-url")).unwrap();
        fs::write(secrets.join("store-url"), url).unwrap();
        let nowhere = Port::any().unwrap();
        let broker = match broker {
            Some(broker) => {
                give_accounts(broker, &workdir.path().join("rabbitmq/definitions.json"));
                authority(broker)
            }
            None => format!("127.0.0.1:{}", nowhere.number()),
        };
        let events = fs::read_to_string(secrets.join("events-url")).unwrap();
        fs::remove_file(secrets.join("events-url")).unwrap();
        fs::write(secrets.join("events-url"), replaced(&events, "rabbitmq:5672", &broker)).unwrap();
        let config = workdir.path().join("issuer.toml");
        fs::write(&config, text("deploy/issuer.toml").replace(SECRETS, &secrets.display().to_string()))
            .unwrap();
        let listen = |port: &Port| format!("127.0.0.1:{}", port.number());
        let mut issuer =
            Launch::new("the issuer", &prepared.programs.issuer, workdir.path().join("issuer.log"))
                .args(["--config".as_ref(), config.as_os_str(), "serve".as_ref()])
                .env("DOORWARD_SERVER__PUBLIC", listen(&public))
                .env("DOORWARD_SERVER__MANAGEMENT", listen(&management))
                .env("DOORWARD_PASSWORD__COST", "4")
                .start()
                .unwrap();
        until_ready(&mut issuer, &management, "/health/ready");

        let echo = Echo::start(&[]).unwrap();
        let edits = [
            ("address: issuer, port_value: 8080", loopback(public.number())),
            ("address: issuer-management, port_value: 9090", loopback(management.number())),
            ("address: user-service, port_value: 8081", loopback(echo.port())),
            ("address: 0.0.0.0, port_value: 8000", loopback(plain.number())),
            ("address: 0.0.0.0, port_value: 9902", loopback(probes.number())),
            ("address: 127.0.0.1, port_value: 9901", loopback(admin.number())),
            ("/etc/envoy/doorward_plugin.wasm", prepared.programs.plugin_wasm.display().to_string()),
        ];
        let envoy =
            edits.iter().fold(text("deploy/envoy.yaml"), |text, (from, to)| replaced(&text, from, to));
        let config = workdir.path().join("envoy.yaml");
        fs::write(&config, envoy).unwrap();
        let mut gateway = Launch::new("Envoy", &prepared.programs.envoy, workdir.path().join("envoy.log"))
            .args(["--disable-hot-restart", "--config-path"])
            .args([&config])
            .args(list(&gateway_container(), "args").iter().map(string))
            .grace(Duration::from_secs(5))
            .start()
            .unwrap();
        until_ready(&mut gateway, &probes, "/ready");
        let gate = Client::new(&plain.url());
        let ports = [public, plain, nowhere];
        Self {
            gate,
            echo,
            issuer: Some(issuer),
            management,
            probes,
            admin,
            _gateway: gateway,
            _ports: ports,
            workdir,
        }
    }
}

/// Envoy's container in Kubernetes.
fn gateway_container() -> Value {
    let objects = documents("deploy/kubernetes/gateway.yaml");
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0].clone()
}

fn until_ready(part: &mut Running, port: &Port, path: &str) {
    let client = Client::new(&port.url());
    part.ready(LIMIT, || client.get(path).ok().filter(|reply| reply.status == 200)).unwrap();
}

fn loopback(port: u16) -> String {
    format!("address: 127.0.0.1, port_value: {port}")
}

/// A text with another one replaced wherever it stands; it must stand somewhere.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from}");
    text.replace(from, to)
}

/// Runs the script, and returns what it made: names and contents.
fn make_secrets(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let script = files::root().join("deploy/compose/secrets.sh");
    let done = Command::new("sh").arg(script).arg(dir).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut made = Vec::new();
    for owner in ["issuer", "mongodb", "rabbitmq", "user-service"] {
        for entry in fs::read_dir(dir.join(owner)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{owner}/{}", entry.file_name().to_str().unwrap());
            made.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    made.sort();
    made
}

/// Runs a container's health check, as Docker would, against another port.
fn health_check(service: &str, from: u16, to: u16) -> Output {
    let check = compose()["services"][service]["healthcheck"]["test"].take();
    let words: Vec<&str> = check.as_array().unwrap().iter().map(string).collect();
    assert_eq!(words[0], "CMD");
    // Compose reads two dollars as one.
    let script =
        replaced(words[3], &format!("127.0.0.1/{from}"), &format!("127.0.0.1/{to}")).replace("$$", "$");
    Command::new(words[1]).args([words[2], &script]).output().unwrap()
}

/// The listener or cluster of this name.
fn part(config: &Value, kind: &str, name: &str) -> Value {
    let parts = list(&config["static_resources"], kind);
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} in {kind}")).clone()
}
