//! `deploy/monitoring`: every metric that the dashboard and the alerts name is one that a running stack exposes, under
//! that name and with those labels. A panel that stays empty is worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward_gate::Reason;
use doorward_tests::http::Client;
use doorward_tests::{files, wait};
use serde_json::{Value, json};

use crate::support::whole::{PASSWORD, Whole};

const LIMIT: Duration = Duration::from_secs(30);
/// Labels that Prometheus adds by itself, or that belong to histograms.
const GIVEN: [&str; 3] = ["instance", "job", "le"];

/// What there is: names of metrics, and the labels of each.
type Exposed = BTreeMap<String, BTreeSet<String>>;

#[test]
fn dashboard_and_alerts_ask_for_what_there_is() {
    let whole = Whole::start();
    let asked = [dashboard(), alerts()].concat();
    assert!(asked.len() > 60, "{} expressions", asked.len());
    cause_traffic(&whole);
    let missing = || -> Vec<String> {
        let exposed = exposed(&whole);
        asked.iter().flat_map(|(place, text)| missing(&exposed, place, text)).collect()
    };
    // Envoy works out its histograms, and the plugin hands over its counts, every few seconds.
    let all = wait::until(LIMIT, || missing().is_empty().then_some(()));
    assert!(all.is_some(), "{:#?}", missing());
}

#[test]
fn alerts_ask_for_reasons_that_the_gate_has() {
    let known: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::name).collect();
    let mut named = 0;
    for (place, text) in alerts() {
        for pattern in text.split("reason=~\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            for reason in pattern.split('|') {
                assert!(known.contains(reason), "{place}: there is no reason {reason}");
                named += 1;
            }
        }
    }
    assert!(named >= 6);
}

#[test]
fn an_alert_says_how_bad_it_is_and_what_to_do() {
    for rule in rules() {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{rule}");
        for annotation in ["summary", "action"] {
            assert!(
                rule["annotations"][annotation].as_str().is_some_and(|text| text.ends_with('.')),
                "{rule}"
            );
        }
    }
}

/// The panels' expressions, each with the panel's title.
fn dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&shipped("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id stands twice");
    let expressions = panels.iter().filter(|panel| panel["type"] != "row").flat_map(|panel| {
        let targets = panel["targets"].as_array().unwrap();
        targets.iter().map(|target| (text(&panel["title"]), text(&target["expr"])))
    });
    expressions.collect()
}

/// The alerts' expressions, each with the alert's name.
fn alerts() -> Vec<(String, String)> {
    rules().iter().map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect()
}

fn rules() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&shipped("alerts.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(files::root().join("deploy/monitoring").join(file)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A login, a wrong one, a refresh, a request that passes and one that does not.
fn cause_traffic(whole: &Whole) {
    let ada = whole.user("ada@example.test");
    let session = whole.log_in("ada@example.test", PASSWORD);
    let refresh = json!({"refresh_token": session["refresh_token"]});
    assert_eq!(whole.gate.post("/auth/refresh", &refresh).unwrap().status, 200);
    let wrong = json!({"email": "ada@example.test", "password": format!("{PASSWORD}x")});
    assert_eq!(whole.gate.post("/auth/login", &wrong).unwrap().status, 401);
    for _ in 0..2 {
        assert_eq!(whole.gate.get_as(&ada.token, &format!("/users/{}", ada.id)).unwrap().status, 200);
    }
    assert_eq!(whole.gate.get("/users/x").unwrap().status, 401);
}

fn exposed(whole: &Whole) -> Exposed {
    let read = |url: &str, path: &str| String::from_utf8(Client::new(url).get(path).unwrap().body).unwrap();
    let gateway = read(&whole.stack.envoy.admin_url(), "/stats/prometheus");
    let issuer = read(&whole.stack.issuer.management_url(), "/metrics");
    let mut exposed = Exposed::new();
    for line in gateway.lines().chain(issuer.lines()).filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap_or((line, ""));
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        exposed.entry(name.to_owned()).or_default().extend(labels_in(labels));
    }
    exposed
}

/// What an expression asks for and nobody exposes.
fn missing(exposed: &Exposed, place: &str, expression: &str) -> Vec<String> {
    let (expression, grouped) = without_groups(expression);
    let mut missing = Vec::new();
    let mut known: BTreeSet<&str> = GIVEN.into();
    for (name, labels) in selectors(&expression) {
        let Some(there) = exposed.get(&name) else {
            missing.push(format!("{place}: {name}"));
            continue;
        };
        known.extend(there.iter().map(String::as_str));
        let absent = labels.iter().filter(|label| !there.contains(*label));
        missing.extend(absent.map(|label| format!("{place}: {name}{{{label}}}")));
    }
    let unknown = grouped.iter().filter(|label| !known.contains(label.as_str()));
    missing.extend(unknown.map(|label| format!("{place}: by ({label})")));
    missing
}

/// An expression without its `by (...)`, and the labels in there.
fn without_groups(expression: &str) -> (String, Vec<String>) {
    let mut pieces = expression.split("by (");
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    let mut labels = Vec::new();
    for piece in pieces {
        let (inside, behind) = piece.split_once(')').unwrap();
        labels.extend(inside.split(',').map(|label| label.trim().to_owned()));
        bare.push_str(behind);
    }
    (bare, labels)
}

/// Every metric of ours or of Envoy's in an expression, with the labels that it is selected by.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = ["doorward_", "envoy_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let braces = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (labels, behind) = braces.unwrap_or(("", after));
        found.push((name.to_owned(), labels_in(labels).collect()));
        rest = behind;
    }
    found
}

/// The names in `a="b",c=~"d"`, with or without the brace at the end.
fn labels_in(text: &str) -> impl Iterator<Item = String> {
    let names = text.split("\",").filter_map(|pair| pair.split_once(['=', '!']));
    names.map(|(name, _)| name.trim().to_owned())
}
