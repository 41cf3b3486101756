use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::problem::WrongField;

/// Reads a JSON object into `T`, or says which field is wrong.
///
/// serde_json's own errors repeat the offending value, and a value may be a password. The error type here has no room for
/// one: it keeps what was wanted, and nothing of what came.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, WrongField> {
    if !value.is_object() {
        // serde would take an array for a struct.
        return Err(WrongField { field: "body".to_owned(), message: "must be a JSON object".to_owned() });
    }
    serde_path_to_error::deserialize(Json(value)).map_err(|error| {
        let parent = error.path().iter().next().map(|_| error.path().to_string());
        let field = match (parent, error.inner()) {
            (None, Wrong::Missing(name)) => (*name).to_owned(),
            (Some(parent), Wrong::Missing(name)) => format!("{parent}.{name}"),
            (parent, _) => parent.unwrap_or_else(|| "body".to_owned()),
        };
        WrongField { field, message: error.inner().to_string() }
    })
}

/// What is wrong with a field.
#[derive(Debug)]
enum Wrong {
    Missing(&'static str),
    Unexpected { wanted: String },
    Unacceptable,
    Unknown,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(_) => f.write_str("is required"),
            Self::Unexpected { wanted } => write!(f, "must be {wanted}"),
            Self::Unacceptable => f.write_str("is not acceptable"),
            Self::Unknown => f.write_str("cannot be set here"),
        }
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Unacceptable
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::Unexpected { wanted: wanted.to_string() }
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::Unexpected { wanted: wanted.to_string() }
    }

    fn unknown_variant(_: &str, names: &'static [&'static str]) -> Self {
        Self::Unexpected { wanted: format!("one of {}", names.join(", ")) }
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

/// A JSON value as serde wants it, with [`Wrong`] for its errors.
#[derive(Clone, Copy)]
struct Json<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Wrong> for Json<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(Wrong::Unacceptable),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Json))),
            Value::Object(members) => visitor.visit_map(MapDeserializer::new(
                members.iter().map(|(name, value)| (name.as_str(), Json(value))),
            )),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0.as_str() {
            Some(name) => visitor.visit_enum(IntoDeserializer::<Wrong>::into_deserializer(name)),
            None => Err(Wrong::unknown_variant("", names)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Body {
        email: String,
        age: Option<u8>,
        #[serde(default)]
        roles: Vec<String>,
    }

    fn wrong(value: &Value) -> (String, String) {
        let wrong = read::<Body>(value).unwrap_err();
        (wrong.field, wrong.message)
    }

    #[test]
    fn a_good_object_is_read_and_unknown_members_are_ignored() {
        let body =
            read::<Body>(&json!({"email": "a", "age": 7, "roles": ["x"], "more": {"of": "it"}})).unwrap();
        assert_eq!(body, Body { email: "a".into(), age: Some(7), roles: vec!["x".into()] });
        assert_eq!(read::<Body>(&json!({"email": "a", "age": null})).unwrap().age, None);
    }

    #[test]
    fn the_field_is_named_and_the_value_is_not() {
        for (value, field, message) in [
            (json!({"email": {"$ne": "hush"}}), "email", "must be a string"),
            (json!({"email": ["hush"]}), "email", "must be a string"),
            (json!({"email": 4711}), "email", "must be a string"),
            (json!({"email": null}), "email", "must be a string"),
            (json!({}), "email", "is required"),
            (json!({"email": "a", "age": "hush"}), "age", "must be u8"),
            (json!({"email": "a", "age": 4711}), "age", "must be u8"),
            (json!({"email": "a", "roles": ["x", 4711]}), "roles[1]", "must be a string"),
            (json!(["hush"]), "body", "must be a JSON object"),
            (json!("hush"), "body", "must be a JSON object"),
            (json!(null), "body", "must be a JSON object"),
        ] {
            assert_eq!(wrong(&value), (field.to_owned(), message.to_owned()), "{value}");
        }
    }
}
