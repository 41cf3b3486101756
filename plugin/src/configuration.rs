//! The plugin's configuration as Envoy hands it over: JSON from a `StringValue`, or the wire bytes of a `Struct`.

use doorward_gate::policy::{Config, ConfigError, Policy};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::{Map, Number, Value as Json};

/// Reads and compiles a configuration.
pub(crate) fn read(bytes: &[u8]) -> Result<Policy, ConfigError> {
    let config = Config::read(Json::Object(parse(bytes)?))?;
    Policy::compile(config, &|name| std::env::var(name).ok())
}

/// Every entry of a `Struct` holds the byte 0x12, the tag of its value; JSON text never does.
fn parse(bytes: &[u8]) -> Result<Map<String, Json>, ConfigError> {
    let fail = |message: String| ConfigError { path: String::new(), message };
    if bytes.is_empty() {
        return Err(fail("the configuration is missing".to_owned()));
    }
    if bytes.contains(&0x12) {
        let message =
            Struct::decode(bytes).map_err(|error| fail(format!("not a google.protobuf.Struct: {error}")))?;
        return Ok(members(message));
    }
    doorward_gate::json::parse_object(bytes).map_err(|error| fail(format!("not a JSON object: {error}")))
}

fn members(message: Struct) -> Map<String, Json> {
    message.fields.into_iter().map(|(name, value)| (name, json(value))).collect()
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(truth)) => Json::Bool(truth),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::NumberValue(number)) => {
            whole(number).map_or_else(|| Number::from_f64(number).into(), Json::from)
        }
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(inner)) => Json::Object(members(inner)),
    }
}

/// Every number in a `Struct` is a double; a count is written as one and meant as one.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and between 0 and 2^53"
    )]
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}
