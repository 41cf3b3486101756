//! File and environment are laid over each other into one flat map, `section.key` to value. Whoever asks for a key takes it out;
//! what nobody asked for is a mistake. Mistakes are collected, so that an operator sees all of them at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::secret::{MASK, Secret};
use super::value::FromSetting;

/// Variables with our prefix that other parts of the system read.
const FOREIGN: [&str; 1] = ["DOORWARD_MANAGEMENT_TOKEN"];
const FOREIGN_PREFIX: &str = "DOORWARD_TEST_";
const PREFIX: &str = "DOORWARD_";

/// One thing wrong with the configuration: which key, and what is wanted instead. Never shows the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key as the file spells it (`section.key`), the variable's name, or the file's path.
    pub key: String,
    /// What is wanted.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)
    }
}

struct Given {
    value: Value,
    /// The environment variable it came from; none for the file.
    variable: Option<String>,
}

/// The settings that were given and nobody has asked for yet.
#[derive(Default)]
pub(super) struct Settings {
    given: BTreeMap<String, Given>,
    shown: Vec<(&'static str, String)>,
    mistakes: Vec<Mistake>,
}

impl Settings {
    /// Reads the file, then lays the environment over it.
    pub(super) fn collect(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut settings = Self::default();
        if let Some(path) = file {
            settings.read_file(path);
        }
        for (name, value) in environment {
            settings.read_variable(&name, value);
        }
        settings
    }

    /// The key's value, or the default when it was not given (or was wrong, which is noted).
    pub(super) fn take<T: FromSetting>(&mut self, key: &'static str, default: T) -> T {
        let value = self.parse(key).unwrap_or(default);
        self.shown.push((key, value.show()));
        value
    }

    /// Like [`take`](Self::take), with a further condition and the words for it.
    pub(super) fn take_if<T: FromSetting>(
        &mut self,
        key: &'static str,
        default: T,
        wanted: &str,
        holds: impl FnOnce(&T) -> bool,
    ) -> T {
        let value = self.take(key, default);
        if !holds(&value) {
            self.mistake(key, wanted);
        }
        value
    }

    /// A key without a default.
    pub(super) fn take_optional<T: FromSetting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.parse::<T>(key);
        self.shown.push((key, value.as_ref().map_or_else(|| "(none)".to_owned(), T::show)));
        value
    }

    /// A secret: given in place, or as `KEY_file`, the path of a file that holds it.
    pub(super) fn take_secret(&mut self, key: &'static str) -> Option<Secret> {
        let in_place = self.parse::<String>(key);
        let file = self.parse::<PathBuf>(&format!("{key}_file"));
        let secret = match (in_place, file) {
            (Some(_), Some(_)) => {
                self.mistake(key, "is given both in place and as a file; give one of them");
                None
            }
            (Some(text), None) => Some(text),
            (None, Some(path)) => self.read_secret(key, &path),
            (None, None) => None,
        };
        self.shown.push((key, if secret.is_some() { MASK } else { "(none)" }.to_owned()));
        secret.map(Secret::new)
    }

    /// Prints something else for a key that has been taken.
    pub(super) fn show(&mut self, key: &'static str, text: &str) {
        for (_, shown) in self.shown.iter_mut().filter(|(shown, _)| *shown == key) {
            text.clone_into(shown);
        }
    }

    /// Notes a mistake that concerns a key already taken.
    pub(super) fn mistake(&mut self, key: &str, message: &str) {
        self.mistakes.push(Mistake { key: key.to_owned(), message: message.to_owned() });
    }

    /// Ends the reading: whatever is left was never a key.
    pub(super) fn finish(mut self) -> Result<Vec<(&'static str, String)>, Vec<Mistake>> {
        for (key, given) in self.given {
            let message = match given.variable {
                Some(variable) => format!("there is no such key (from the variable {variable})"),
                None => "there is no such key".to_owned(),
            };
            self.mistakes.push(Mistake { key, message });
        }
        if self.mistakes.is_empty() { Ok(self.shown) } else { Err(self.mistakes) }
    }

    fn parse<T: FromSetting>(&mut self, key: &str) -> Option<T> {
        let given = self.given.remove(key)?;
        let parsed = T::from_setting(&given.value);
        if parsed.is_none() {
            let from = given.variable.map(|name| format!(" (from the variable {name})")).unwrap_or_default();
            self.mistake(key, &format!("must be {}{from}", T::WANTED));
        }
        parsed
    }

    fn read_file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Err(error) => self.mistake(&shown, &format!("cannot be read ({})", error.kind())),
            Ok(text) => match text.parse::<toml::Table>() {
                Ok(table) => self.flatten("", table),
                // The parser's own message shows the line, and a line may hold a secret.
                Err(error) => {
                    let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                    self.mistake(&shown, &format!("is not valid TOML near line {line}: {}", error.message()));
                }
            },
        }
    }

    fn flatten(&mut self, prefix: &str, table: toml::Table) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                Value::Table(inner) => self.flatten(&format!("{key}."), inner),
                value => {
                    self.given.insert(key, Given { value, variable: None });
                }
            }
        }
    }

    fn read_variable(&mut self, name: &OsString, value: OsString) {
        // A name that is not Unicode cannot be one of ours.
        let Some(variable) = name.to_str() else { return };
        let Some(rest) = variable.strip_prefix(PREFIX) else { return };
        if FOREIGN.contains(&variable) || variable.starts_with(FOREIGN_PREFIX) {
            return;
        }
        let Ok(text) = value.into_string() else {
            return self.mistake(variable, "must be UTF-8 text");
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        // A secret in the environment replaces the file's, whichever of the two spellings either of them uses.
        let sibling = key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned);
        if self.given.get(&sibling).is_some_and(|given| given.variable.is_none()) {
            self.given.remove(&sibling);
        }
        self.given.insert(key, Given { value: Value::String(text), variable: Some(variable.to_owned()) });
    }

    fn read_secret(&mut self, key: &str, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                self.mistake(&format!("{key}_file"), "names a file that is empty");
                None
            }
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.mistake(
                    &format!("{key}_file"),
                    &format!("names a file that cannot be read ({})", error.kind()),
                );
                None
            }
        }
    }
}
