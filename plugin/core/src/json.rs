//! JSON read so that no two programs can read it differently.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The size from which an object's names are sorted to find one that stands twice.
const FEW: usize = 16;

/// A JSON value. Texts are borrowed wherever no escape stands in them: a token is read on every cold request.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Members<'a>),
}

/// The members of a JSON object, each name once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    /// Parses a JSON object, refusing a member name that stands twice at any depth: which of the two counts would
    /// be for each reader to choose.
    ///
    /// # Errors
    /// Says what is wrong without quoting the text.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        match serde_json::from_slice(text)? {
            Json::Object(members) => Ok(members),
            _ => Err(de::Error::custom("not a JSON object")),
        }
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// All members, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    fn has_twins(&self) -> bool {
        if self.0.len() < FEW {
            let mut rest = self.0.as_slice();
            while let [(name, _), others @ ..] = rest {
                if others.iter().any(|(other, _)| other == name) {
                    return true;
                }
                rest = others;
            }
            return false;
        }
        let mut names: Vec<_> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.array_windows().any(|[a, b]| a == b)
    }
}

impl Json<'_> {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            _ => None,
        }
    }
}

/// As [`Members::parse`], with everything copied, for documents that are read once in a while.
///
/// # Errors
/// As [`Members::parse`].
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    Members::parse(text).map(Map::from)
}

impl From<Members<'_>> for Map<String, Value> {
    fn from(members: Members<'_>) -> Self {
        members.0.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Unsigned(number) => number.into(),
            Json::Negative(number) => number.into(),
            Json::Float(number) => number.into(),
            Json::Text(text) => Self::String(text.into_owned()),
            Json::List(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Object(members) => Self::Object(members.into()),
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(v).map_or(Json::Negative(v), Json::Unsigned))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Json::Unsigned(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(v))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members(Vec::with_capacity(FEW));
        // A name is read as any value is, so that it is borrowed the same way.
        while let Some(name) = map.next_key()? {
            let Json::Text(name) = name else {
                return Err(de::Error::custom("a member name that is no text"));
            };
            members.0.push((name, map.next_value()?));
        }
        if members.has_twins() {
            return Err(de::Error::custom("a member name stands twice"));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_be_read_two_ways() {
        let many: String = (0..40).map(|i| format!("\"m{i}\":0,")).collect();
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"o":{"b":1,"b":1}}"#,
            r#"[{"b":1,"b":1}]"#,
            &format!(r#"{{{many}"m7":1}}"#),
            r#"{"a":1} x"#,
            r#"{"a":1}{"#,
            "[]",
            "\"a\"",
            "",
            "{\"a\":\"\u{0}\"}",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":01}",
        ] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse_object(["{\"a\":", &"[".repeat(100_000)].concat().as_bytes()).is_err(), "depth");
        assert!(parse_object(format!(r#"{{{many}"n":1}}"#).as_bytes()).is_ok());
    }

    #[test]
    fn reads_the_rest_as_serde_json_does() {
        let text = r#" {"a":[1,-2,1.5,true,null,"x\n"],"b":{"c":18446744073709551615,"\u00e9":0}} "#;
        let want: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(parse_object(text.as_bytes()).unwrap()), want);
    }
}
