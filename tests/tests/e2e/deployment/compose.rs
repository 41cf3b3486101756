//! `docker-compose.yml`. No container engine runs here, so what can be known without one is tested: the file's form, what
//! each service may do, and that the files it mounts do what they are mounted for.

use std::collections::BTreeSet;

use doorward_tests::files;
use doorward_tests::progress::Progress;
use doorward_tests::tools::schemas;
use serde_json::{Value, json};

use crate::support::shipped::{list, mistakes, schema, string, yaml};

/// They end when they are done, so nobody asks after their health.
const ONCE: [&str; 2] = ["secrets", "mongodb-replica-set"];

#[test]
fn the_file_is_a_compose_file() {
    let schema = schema(&schemas::compose(Progress::Silent).unwrap());
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(mistakes(&schema, &compose()), Vec::<String>::new());
    // The schema is one that finds something.
    let mut wrong = compose();
    wrong["services"]["issuer"]["healthchek"] = json!({});
    assert_eq!(mistakes(&schema, &wrong).len(), 1);
}

#[test]
fn every_service_is_confined() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        let root = string(&service["user"]).starts_with("0:");
        assert_eq!(root, name == "secrets", "{name}");
        assert!(service["privileged"].is_null() && service["pid"].is_null(), "{name}");
        assert_eq!(
            service["ports"].is_null(),
            name != "gateway",
            "{name}: only the gateway is reached from outside"
        );
        assert_eq!(service["healthcheck"].is_null(), ONCE.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn nothing_but_the_gateway_has_a_way_out_and_services_trust_it_alone() {
    let compose = compose();
    for network in ["inside", "stores", "events"] {
        assert_eq!(compose["networks"][network]["internal"], true);
    }
    let networks = |service: &str| -> BTreeSet<&str> {
        list(&compose["services"][service], "networks").iter().map(string).collect()
    };
    assert_eq!(networks("gateway"), BTreeSet::from(["inside", "outside"]));
    assert_eq!(networks("user-service"), BTreeSet::from(["events", "inside"]));
    assert_eq!(networks("mongodb"), BTreeSet::from(["stores"]));
    assert_eq!(networks("rabbitmq"), BTreeSet::from(["events"]));
    // Whoever else is in a network of the service could send it headers: nobody but the issuer and the broker.
    let meets = |network| services().into_iter().filter(move |(_, one)| in_network(one, network));
    let reach: BTreeSet<_> = ["inside", "events"].into_iter().flat_map(meets).map(|(name, _)| name).collect();
    assert_eq!(reach, ["gateway", "issuer", "rabbitmq", "user-service"].map(str::to_owned).into());
    assert_eq!(compose["services"]["secrets"]["network_mode"], "none");
}

fn in_network(service: &Value, network: &str) -> bool {
    let listed = service["networks"].as_array().is_some_and(|all| all.contains(&json!(network)));
    listed || !service["networks"][network].is_null()
}

#[test]
fn no_secret_stands_in_the_file() {
    for (name, service) in services() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let secret = ["PASS", "SECRET", "TOKEN", "KEY", "URL"].iter().any(|part| variable.contains(part));
            assert!(!secret || variable.ends_with("_FILE"), "{name}: {variable}");
            assert!(!secret || string(value).starts_with("/run/secrets/"), "{name}: {variable}");
        }
    }
}

#[test]
fn what_is_mounted_and_built_exists_and_images_are_of_one_version() {
    for (name, service) in services() {
        let mounts = service["volumes"].as_array().into_iter().flatten().map(string);
        for file in mounts.filter_map(|mount| mount.strip_prefix("./")) {
            let (path, _) = file.split_once(':').unwrap();
            assert!(files::root().join(path).is_file(), "{name}: {path}");
            assert!(file.ends_with(":ro"), "{name}: {path}");
        }
        match service["build"]["dockerfile"].as_str() {
            Some(dockerfile) => assert!(files::root().join(dockerfile).is_file(), "{name}"),
            None => assert!(pinned(string(&service["image"])), "{name}"),
        }
        for other in service["depends_on"].as_object().into_iter().flatten().map(|(other, _)| other) {
            assert!(!compose()["services"][other].is_null(), "{name} waits for {other}");
        }
    }
}

/// Whether an image's tag is a whole version, and not one that moves.
pub(super) fn pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag).trim_start_matches('v');
    let version = tag.split('-').next().unwrap_or_default();
    version.split('.').count() >= 2 && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

pub(super) fn compose() -> Value {
    yaml("docker-compose.yml")
}

fn services() -> Vec<(String, Value)> {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    services.iter().map(|(name, service)| (name.clone(), service.clone())).collect()
}
