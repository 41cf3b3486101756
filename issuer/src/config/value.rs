use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use crate::domain::alert::Hours;

/// A type that a key can have; read from a TOML value, or from the text of a variable.
pub(super) trait FromSetting: Sized {
    /// The words after "must be".
    const WANTED: &'static str;

    /// Reads the value; `None` when it is not [`WANTED`](Self::WANTED).
    fn from_setting(value: &Value) -> Option<Self>;

    /// How `config check` prints it.
    fn show(&self) -> String;
}

impl FromSetting for bool {
    const WANTED: &'static str = "true or false";

    fn from_setting(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(switch) => Some(*switch),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl FromSetting for $type {
            const WANTED: &'static str = "a whole number";

            fn from_setting(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => (*number).try_into().ok(),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                }
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

whole_numbers!(u8, u32, usize);

impl FromSetting for String {
    const WANTED: &'static str = "a text that is not empty";

    fn from_setting(value: &Value) -> Option<Self> {
        value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl FromSetting for PathBuf {
    const WANTED: &'static str = "a path";

    fn from_setting(value: &Value) -> Option<Self> {
        String::from_setting(value).map(Self::from)
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl FromSetting for Vec<String> {
    const WANTED: &'static str = "a list of texts (in a variable: separated by commas)";

    fn from_setting(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().map(String::from_setting).collect(),
            Value::String(text) if text.is_empty() => Some(Self::new()),
            Value::String(text) => text
                .split(',')
                .map(|item| Some(item.trim().to_owned()).filter(|item| !item.is_empty()))
                .collect(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl FromSetting for SocketAddr {
    const WANTED: &'static str = "an address and a port, such as 127.0.0.1:8080";

    fn from_setting(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl FromSetting for Hours {
    const WANTED: &'static str = "hours in UTC, such as 06:00-22:00";

    fn from_setting(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl FromSetting for Duration {
    const WANTED: &'static str = "a duration, such as 15m or 24h";

    fn from_setting(value: &Value) -> Option<Self> {
        humantime::parse_duration(value.as_str()?).ok()
    }

    fn show(&self) -> String {
        format!("\"{}\"", humantime::format_duration(*self))
    }
}

/// Reads and prints an enum by its names.
macro_rules! names {
    ($type:ty, $wanted:literal, $($name:literal => $variant:path),+) => {
        impl FromSetting for $type {
            const WANTED: &'static str = $wanted;

            fn from_setting(value: &Value) -> Option<Self> {
                match value.as_str()? { $($name => Some($variant),)+ _ => None }
            }

            fn show(&self) -> String {
                match self { $($variant => concat!("\"", $name, "\""),)+ }.to_owned()
            }
        }
    };
}

names!(super::LogFormat, "json or text", "json" => super::LogFormat::Json, "text" => super::LogFormat::Text);
names!(
    super::Algorithm,
    "ES256, RS256, EdDSA or HS256",
    "ES256" => super::Algorithm::Es256,
    "RS256" => super::Algorithm::Rs256,
    "EdDSA" => super::Algorithm::EdDsa,
    "HS256" => super::Algorithm::Hs256
);
