use doorward_tests::files;
use serde_json::Value;

/// What was published is as its schema in `docs/events` says.
pub(super) fn must_fit(event: &Value) {
    must_fit_schema(event, event["type"].as_str().unwrap());
}

/// The same with a schema of another name.
pub(super) fn must_fit_schema(message: &Value, name: &str) {
    let schema = std::fs::read_to_string(files::root().join(format!("docs/events/{name}.json"))).unwrap();
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let mistakes: Vec<_> = validator.iter_errors(message).map(|mistake| mistake.to_string()).collect();
    assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
}
