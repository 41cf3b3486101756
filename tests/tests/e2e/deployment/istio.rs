//! `deploy/istio`: the object has the members that Istio knows, and what it hands to the plugin works.

use doorward_tests::parts::{Answer, KeyServer};
use serde_json::{Map, Value};

use crate::support::gateway::{Gateway, Plan, cluster};
use crate::support::settings::claims;
use crate::support::shipped::{string, yaml};
use crate::support::signer::{Signer, jwks};

/// `extensions.istio.io/v1alpha1`, as Istio documents it. The fields of the file, in the form that they have there.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WasmPlugin {
    api_version: String,
    kind: String,
    #[serde(rename = "metadata")]
    _metadata: Map<String, Value>,
    spec: Spec,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    #[serde(rename = "selector")]
    _selector: Selector,
    url: String,
    image_pull_policy: PullPolicy,
    phase: Phase,
    plugin_name: String,
    fail_strategy: FailStrategy,
    plugin_config: Value,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    #[serde(rename = "matchLabels")]
    _match_labels: Map<String, Value>,
}

#[derive(serde::Deserialize, PartialEq, Debug)]
enum PullPolicy {
    IfNotPresent,
    Always,
}

#[derive(serde::Deserialize, PartialEq, Debug)]
#[serde(rename_all = "UPPERCASE")]
enum Phase {
    Authn,
    Authz,
    Stats,
}

#[derive(serde::Deserialize, PartialEq, Debug)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FailStrategy {
    FailClose,
    FailOpen,
}

#[test]
fn the_plugin_is_placed_before_everything_that_trusts_it_and_fails_shut() {
    let plugin = plugin();
    assert_eq!(
        (plugin.api_version.as_str(), plugin.kind.as_str()),
        ("extensions.istio.io/v1alpha1", "WasmPlugin")
    );
    assert_eq!(plugin.spec.phase, Phase::Authn);
    assert_eq!(plugin.spec.fail_strategy, FailStrategy::FailClose);
    assert_eq!(plugin.spec.image_pull_policy, PullPolicy::IfNotPresent);
    let (_, tag) = plugin.spec.url.strip_prefix("oci://").unwrap().rsplit_once(':').unwrap();
    assert_eq!(tag, env!("CARGO_PKG_VERSION"));
    assert_eq!(plugin.spec.plugin_name, "doorward");
}

#[test]
fn its_configuration_works_with_istios_name_for_the_cluster() {
    let (key, keys) = (Signer::es256("k1"), KeyServer::start().unwrap());
    keys.answer("/.well-known/jwks.json", Answer::Document(jwks(&[&key])));
    let settings = plugin().spec.plugin_config;
    let remote = &settings["providers"][0]["keys"]["remote"];
    // Istio hands a configuration over as text.
    let clusters = vec![cluster(string(&remote["cluster"]), keys.port())];
    let gateway = Gateway::start(Plan { clusters, ..Plan::plugin(settings.to_string().into()) });
    assert_eq!(gateway.get("/users/ada", &key.token(&claims("ada"))).status, 200);
    assert_eq!(gateway.echo.received("/users/ada")[0].header("x-user-id"), [b"ada"]);
    assert_eq!(gateway.get("/users/bob", &key.token(&claims("ada"))).status, 403);
    assert_eq!(gateway.send("GET /users/ada", &[]).status, 401);
}

fn plugin() -> WasmPlugin {
    serde_json::from_value(yaml("deploy/istio/wasmplugin.yaml")).unwrap()
}
