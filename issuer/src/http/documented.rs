use std::collections::BTreeMap;

use serde_json::{Value, json};
use strum::VariantArray as _;

use super::problem::CONTENT_TYPE;
use super::reason::Reason;

/// Tells the OpenAPI document which problems each operation answers with, status by status.
///
/// What an operation alone can say stands in its description, as names in backquotes; the rest follows from what the
/// operation asks for. A foreign client that finds another status in a test fails it, so neither can be forgotten.
pub(super) fn with_problems(specification: &str) -> String {
    // Made by the framework from our own types a moment ago.
    let mut document: Value = serde_json::from_str(specification).unwrap_or_default();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|operations| operations.values_mut()) {
        let problems = responses(&reasons(operation));
        if let Some(responses) = operation["responses"].as_object_mut() {
            // It stands for all of them, and where it is missing the operation has none.
            if let Some(any) = responses.remove("default") {
                let schema = &any["content"][CONTENT_TYPE]["schema"];
                responses.extend(
                    problems.into_iter().map(|(status, description)| (status, problem(&description, schema))),
                );
            }
        }
    }
    document.to_string()
}

fn reasons(operation: &Value) -> Vec<Reason> {
    let described = operation["description"].as_str().unwrap_or_default();
    let named = |reason: &Reason| described.contains(&format!("`{}`", reason.wire().name));
    let mut reasons: Vec<_> = Reason::VARIANTS.iter().copied().filter(named).collect();
    reasons.extend([Reason::Internal, Reason::Overloaded, Reason::StoreUnavailable]);
    if operation.get("requestBody").is_some() {
        reasons.extend(BODY);
    }
    if operation.get("parameters").is_some() {
        reasons.push(Reason::MalformedBody);
    }
    if operation.get("security").is_some() {
        reasons.extend(BEARER);
    }
    reasons
}

const BODY: [Reason; 5] = [
    Reason::MalformedBody,
    Reason::RequestTimeout,
    Reason::PayloadTooLarge,
    Reason::UnsupportedMediaType,
    Reason::ValidationFailed,
];

const BEARER: [Reason; 6] = [
    Reason::MissingCredential,
    Reason::MalformedCredential,
    Reason::SeveralCredentials,
    Reason::InvalidToken,
    Reason::Expired,
    Reason::Revoked,
];

/// The names behind each status.
fn responses(reasons: &[Reason]) -> BTreeMap<String, String> {
    let mut responses: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for wire in reasons.iter().map(|reason| reason.wire()) {
        let names = responses.entry(wire.status.as_str().to_owned()).or_default();
        if !names.contains(&wire.name) {
            names.push(wire.name);
        }
    }
    responses.into_iter().map(|(status, names)| (status, format!("`{}`", names.join("`, `")))).collect()
}

fn problem(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { CONTENT_TYPE: { "schema": schema } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_tells_its_own_problems_and_those_that_follow() {
        let problem = json!({ "content": { CONTENT_TYPE: { "schema": { "$ref": "#/problem" } } } });
        let operation = json!({
            "description": "Problems: `email_taken`, `username_taken`, and `not a name`.",
            "requestBody": {},
            "responses": { "201": { "description": "made" }, "default": problem },
        });
        let silent =
            json!({ "description": "`forbidden`", "responses": { "200": { "description": "well" } } });
        let document = json!({ "paths": { "/a": { "post": operation }, "/b": { "get": silent } } });
        let told: Value = serde_json::from_str(&with_problems(&document.to_string())).unwrap();
        let responses = told["paths"]["/a"]["post"]["responses"].as_object().unwrap();
        let statuses: Vec<_> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["201", "400", "408", "409", "413", "415", "422", "500", "503"]);
        assert_eq!(responses["409"]["description"], "`email_taken`, `username_taken`");
        assert_eq!(responses["503"]["description"], "`overloaded`, `store_unavailable`");
        assert_eq!(responses["409"]["content"][CONTENT_TYPE]["schema"]["$ref"], "#/problem");
        assert_eq!(told["paths"]["/b"], document["paths"]["/b"], "what has no problems gets none");
    }
}
