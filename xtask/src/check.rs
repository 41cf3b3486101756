//! `cargo xtask plugin --check FILE`: a plugin configuration, judged without Envoy.

use std::path::Path;

use doorward_gate::policy::{Config, ConfigError, Policy};
use serde_json::Value;

use crate::error::Error;

/// Checks every plugin configuration in a YAML or JSON file, which may be a whole Envoy configuration. Returns the
/// exit code: 1 if one of them is wrong.
pub(crate) fn check(file: &Path) -> Result<u8, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io(format!("read {}", file.display())))?;
    let document: Value = serde_saphyr::from_str(&text)
        .map_err(|error| Error::NotYaml { file: file.to_owned(), reason: error.to_string() })?;
    let mut found = Vec::new();
    collect(&document, &mut found);
    // An anchor that is used twice is one configuration.
    found.dedup();
    if found.is_empty() {
        return Err(Error::NoPluginConfiguration { file: file.to_owned() });
    }
    let good =
        found.into_iter().map(|configuration| report(file, configuration)).filter(|good| !good).count() == 0;
    Ok(u8::from(!good))
}

/// Configurations wherever they stand: a mapping with providers and rules, or its JSON in a `StringValue`.
fn collect(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) if members.contains_key("providers") && members.contains_key("rules") => {
            found.push(value.clone());
        }
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::String(text) if text.trim_start().starts_with('{') && text.contains("\"providers\"") => {
            if let Ok(inner) = doorward_gate::json::parse_object(text.as_bytes()) {
                collect(&inner.into(), found);
            }
        }
        _ => {}
    }
}

fn report(file: &Path, configuration: Value) -> bool {
    let file = file.display();
    match compile(configuration) {
        Ok(policy) => {
            let (providers, rules) = (policy.providers().len(), policy.rules().iter().count());
            println!("{file}: good: {providers} provider(s), {rules} rules");
            policy.warnings().iter().for_each(|warning| println!("{file}: warning: {warning}"));
            true
        }
        Err(error) => {
            println!("{file}: {error}");
            false
        }
    }
}

/// Secrets are the VM's to have; here it only counts that they are asked for.
fn compile(configuration: Value) -> Result<Policy, ConfigError> {
    Policy::compile(Config::read(configuration)?, &|_| {
        Some("a-secret-that-is-long-enough-for-this".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Value> {
        let mut found = Vec::new();
        collect(&serde_saphyr::from_str(text).unwrap(), &mut found);
        found
    }

    #[test]
    fn a_configuration_is_found_wherever_it_stands() {
        assert_eq!(found("providers: []\nrules: []").len(), 1);
        assert_eq!(
            found("a:\n- b: {value: {providers: [], rules: []}}\n- c: {value: {providers: [1], rules: []}}")
                .len(),
            2
        );
        assert_eq!(found("a: &x {providers: [], rules: []}\nb: *x").len(), 2);
        assert_eq!(found(r#"value: '{"providers": [], "rules": []}'"#).len(), 1);
        assert_eq!(found("rules: []").len(), 0);
    }

    #[test]
    fn the_shipped_configuration_is_good() {
        let file = doorward_tests::files::root().join("envoy/envoy.yaml");
        assert_eq!(check(&file).unwrap(), 0);
    }
}
