//! `deploy/kubernetes`, against Kubernetes' own schemas, and against itself.

use std::collections::BTreeSet;

use doorward_tests::files;
use doorward_tests::progress::Progress;
use doorward_tests::tools::schemas;
use serde_json::{Value, json};

use crate::support::shipped::{documents, list, mistakes, schema, string, text, yaml};

#[test]
fn every_object_has_the_form_that_kubernetes_gives_it() {
    let schemas = schema(&schemas::kubernetes(Progress::Silent).unwrap());
    for object in objects().iter().chain(&documents("deploy/kubernetes/secret.example.yaml")) {
        let schema = jsonschema::validator_for(&schema_of(&schemas, object)).unwrap();
        assert_eq!(mistakes(&schema, object), Vec::<String>::new(), "{}", name(object));
        // The schema is one that finds something.
        let mut wrong = object.clone();
        wrong["spec"]["selektor"] = json!({});
        assert!(!mistakes(&schema, &wrong).is_empty(), "{}", name(object));
    }
}

#[test]
fn pods_are_confined_and_have_no_cpu_limit() {
    for deployment in of_kind("Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in list(pod, "containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            // A quota stops a password's hash in the middle, and with it everything else in the process.
            assert_eq!(container["resources"]["limits"]["cpu"], Value::Null);
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                assert!(list(container, "ports").iter().any(|known| known["name"] == *port), "{probe}");
            }
        }
    }
}

#[test]
fn pods_and_those_who_look_for_them_use_one_label() {
    for deployment in of_kind("Deployment") {
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let app = json!({"app.kubernetes.io/name": labels["app.kubernetes.io/name"]});
        let name = string(&deployment["metadata"]["name"]);
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], app);
        let looking = |kind: &str, pointer: &str| {
            of_kind(kind).iter().filter(|object| *object.pointer(pointer).unwrap() == app).count()
        };
        assert!(looking("Service", "/spec/selector") >= 1, "{name}");
        assert_eq!(looking("PodDisruptionBudget", "/spec/selector/matchLabels"), 1, "{name}");
        assert_eq!(looking("NetworkPolicy", "/spec/podSelector/matchLabels"), 1, "{name}");
        let scaled = of_kind("HorizontalPodAutoscaler");
        assert!(scaled.iter().any(|scaler| scaler["spec"]["scaleTargetRef"]["name"] == *name), "{name}");
        assert_eq!(deployment["spec"]["replicas"], Value::Null, "{name}: the autoscaler decides");
    }
}

#[test]
fn the_issuers_autoscaler_follows_a_figure_that_the_adapter_makes() {
    let adapter = yaml("deploy/monitoring/prometheus-adapter.yaml");
    let rule = &list(&adapter["rules"], "custom")[0];
    let made = string(&rule["name"]["as"]);
    let scalers = of_kind("HorizontalPodAutoscaler");
    let issuer = scalers.iter().find(|scaler| scaler["metadata"]["name"] == "issuer").unwrap();
    assert_eq!(issuer["spec"]["metrics"][0]["pods"]["metric"]["name"], made);
    let series = string(&rule["seriesQuery"]).split('{').next().unwrap().to_owned();
    assert!(string(&rule["metricsQuery"]).contains(&format!("rate({series}{{")));
    // It is one of those that the dashboard shows, whose names are tested against a running issuer.
    let histogram = series.strip_suffix("_sum").unwrap();
    assert!(text("deploy/monitoring/dashboard.json").contains(histogram));
}

#[test]
fn the_issuer_hashes_on_as_many_threads_as_it_asks_for_cpus() {
    let deployments = of_kind("Deployment");
    let issuer = deployments.iter().find(|object| object["metadata"]["name"] == "issuer").unwrap();
    let cpus = issuer.pointer("/spec/template/spec/containers/0/resources/requests/cpu").unwrap();
    let settings = text("deploy/issuer.toml");
    assert!(settings.contains(&format!("threads = {}\n", string(cpus))));
}

#[test]
fn the_issuer_gets_every_secret_that_it_reads_and_no_other() {
    let settings = text("deploy/issuer.toml");
    let read = settings.split("/run/secrets/doorward/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let read: BTreeSet<&str> = read.collect();
    let secret = &documents("deploy/kubernetes/secret.example.yaml")[0];
    let given: BTreeSet<&str> =
        secret["stringData"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(read, given);
    let script = text("deploy/compose/secrets.sh");
    assert!(read.iter().all(|name| script.contains(&format!("keep issuer/{name} "))), "{read:?}");
}

/// What the kustomization brings to a cluster.
fn objects() -> Vec<Value> {
    let kustomization = yaml("deploy/kustomization.yaml");
    for generator in list(&kustomization, "configMapGenerator") {
        for file in list(generator, "files") {
            assert!(files::root().join("deploy").join(string(file)).is_file());
        }
    }
    let resources = list(&kustomization, "resources").iter();
    let objects: Vec<Value> =
        resources.flat_map(|file| documents(&format!("deploy/{}", string(file)))).collect();
    assert!(objects.len() > 10);
    objects
}

fn of_kind(kind: &str) -> Vec<Value> {
    let found: Vec<Value> = objects().into_iter().filter(|object| object["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// The definition whose version and kind are the object's.
fn schema_of(schemas: &Value, object: &Value) -> Value {
    let is = |definition: &Value, member: &str| {
        definition["properties"][member]["enum"] == json!([object[member]])
    };
    let definitions = schemas["$defs"].as_object().unwrap();
    let found = definitions.iter().find(|(_, one)| is(one, "apiVersion") && is(one, "kind"));
    let (found, _) = found.unwrap_or_else(|| panic!("Kubernetes has no {}", name(object)));
    json!({"$schema": schemas["$schema"], "$ref": format!("#/$defs/{found}"), "$defs": definitions})
}

fn name(object: &Value) -> String {
    format!("{} {} {}", object["apiVersion"], object["kind"], object["metadata"]["name"])
}
