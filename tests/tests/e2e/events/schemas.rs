use doorward_tests::files;
use serde_json::Value;

/// What was published is as its schema in `docs/events` says.
pub(super) fn must_fit(event: &Value) {
    let kind = event["type"].as_str().unwrap();
    let schema = std::fs::read_to_string(files::root().join(format!("docs/events/{kind}.json"))).unwrap();
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let mistakes: Vec<_> = validator.iter_errors(event).map(|mistake| mistake.to_string()).collect();
    assert!(mistakes.is_empty(), "{kind}: {mistakes:?}");
}
