//! Files of the checkout that operators use, read as what they are.

use std::fs;
use std::path::Path;

use doorward_tests::files;
use jsonschema::Validator;
use serde_json::Value;

/// A file's text.
pub(crate) fn text(path: &str) -> String {
    let path = files::root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()))
}

/// The one document of a YAML file.
pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|failure| panic!("{path}: {failure}"))
}

/// All documents of a YAML file.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|failure| panic!("{path}: {failure}"))
}

/// A member that must be a list.
pub(crate) fn list<'a>(value: &'a Value, member: &str) -> &'a Vec<Value> {
    value[member].as_array().unwrap_or_else(|| panic!("{member} is no list in {value}"))
}

/// A value that must be text.
pub(crate) fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Everything that a schema finds wrong with a value.
pub(crate) fn mistakes(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A schema that was fetched.
pub(crate) fn schema(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
