//! Pages as the feed sends them, read strictly: what is not understood might be a revocation.

use std::time::{Duration, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::UnixTime;
use crate::json::Json;

/// The longest id that is taken, in bytes.
const MAX_ID: usize = 512;

/// One answer of the feed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Page {
    /// Where the next page begins.
    pub next: u64,
    /// Whether there is another page now.
    pub more: bool,
    /// Whether this begins the whole set, and what was known before counts no more.
    pub reset: bool,
    /// What is dead.
    pub items: Vec<Item>,
}

/// Tokens that are dead, until the entry can be forgotten because all of them have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub dead: Dead,
    /// In whole seconds, rounded up.
    pub until: UnixTime,
}

/// Which tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dead {
    /// Those of this session.
    Session(String),
    /// Those of this user whose `epoch` is lower.
    User(String, u64),
    /// Those that were signed with this key.
    Key(String),
}

/// A page that cannot be relied on. Nothing of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not a page of revocations")]
pub struct PageError;

impl Page {
    /// Reads the feed's answer.
    ///
    /// # Errors
    /// [`PageError`] for anything that is not a page through and through: a member that is missing, stands twice or has
    /// another type; an item that is about nothing known, or about two things at once.
    pub fn parse(body: &[u8]) -> Result<Self, PageError> {
        // The derived reader would take a bare list of the members' values as well.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(PageError);
        }
        serde_json::from_slice(body).map_err(|_| PageError)
    }
}

/// One item at a time becomes JSON and then what it says: a tree of the whole page would take several times the memory
/// of all that is kept of it.
impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        item(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn item(item: &Json<'_>) -> Result<Item, PageError> {
    let Json::Object(members) = item else { return Err(PageError) };
    let id = |name| match members.get(name) {
        None => Ok(None),
        Some(Json::Text(id)) if !id.is_empty() && id.len() <= MAX_ID => Ok(Some(id.to_string())),
        Some(_) => Err(PageError),
    };
    let epoch = members.get("epoch").map(|epoch| epoch.as_u64().ok_or(PageError)).transpose()?;
    let dead = match (id("sid")?, id("sub")?, id("kid")?, epoch) {
        (Some(session), None, None, None) => Dead::Session(session),
        (None, Some(user), None, Some(epoch)) => Dead::User(user, epoch),
        (None, None, Some(key), None) => Dead::Key(key),
        _ => return Err(PageError),
    };
    let until = members.get("until").and_then(Json::as_str).and_then(moment).ok_or(PageError)?;
    Ok(Item { dead, until })
}

/// RFC 3339, in UTC.
fn moment(text: &str) -> Option<UnixTime> {
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let second = if since.subsec_nanos() > 0 { 1 } else { 0 };
    Some(Duration::from_secs(since.as_secs().saturating_add(second)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNTIL: &str = "2026-11-22T07:00:00.5Z";

    fn page(items: &str) -> String {
        format!(r#"{{"next":7,"more":false,"reset":true,"items":[{items}]}}"#)
    }

    #[test]
    fn a_page_says_what_is_dead_and_for_how_long() {
        let text = page(&format!(
            r#"{{"sid":"s","until":"{UNTIL}"}},{{"sub":"u","epoch":3,"until":"{UNTIL}"}},{{"kid":"k","until":"{UNTIL}"}}"#
        ));
        let until = Duration::from_secs(1_795_330_801);
        let dead = [Dead::Session("s".into()), Dead::User("u".into(), 3), Dead::Key("k".into())];
        let items = dead.map(|dead| Item { dead, until }).to_vec();
        assert_eq!(Page::parse(text.as_bytes()), Ok(Page { next: 7, more: false, reset: true, items }));
        assert!(Page::parse(page("").as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        let long = "x".repeat(MAX_ID + 1);
        for item in [
            r#""sid":"s""#.to_owned(),
            format!(r#""jti":"j","until":"{UNTIL}""#),
            format!(r#""sid":"s","kid":"k","until":"{UNTIL}""#),
            format!(r#""sid":"s","epoch":1,"until":"{UNTIL}""#),
            format!(r#""sub":"u","until":"{UNTIL}""#),
            format!(r#""sub":"u","epoch":-1,"until":"{UNTIL}""#),
            format!(r#""sub":"u","epoch":"1","until":"{UNTIL}""#),
            format!(r#""sid":"","until":"{UNTIL}""#),
            format!(r#""sid":5,"until":"{UNTIL}""#),
            format!(r#""sid":null,"kid":"k","until":"{UNTIL}""#),
            format!(r#""sid":"s","sid":"t","until":"{UNTIL}""#),
            format!(r#""sid":"{long}","until":"{UNTIL}""#),
            r#""sid":"s","until":1795330801"#.to_owned(),
            r#""sid":"s","until":"tomorrow""#.to_owned(),
            r#""sid":"s","until":"1969-01-01T00:00:00Z""#.to_owned(),
        ] {
            assert_eq!(Page::parse(page(&format!("{{{item}}}")).as_bytes()), Err(PageError), "{item}");
        }
        for body in [
            "",
            "[]",
            "{}",
            r#"{"next":7,"more":false,"reset":true}"#,
            r#"{"next":7,"more":false,"items":[]}"#,
            r#"{"next":-7,"more":false,"reset":true,"items":[]}"#,
            r#"{"next":"7","more":false,"reset":true,"items":[]}"#,
            r#"{"next":7,"more":0,"reset":true,"items":[]}"#,
            r#"{"next":7,"next":8,"more":false,"reset":true,"items":[]}"#,
            r#"{"next":7,"more":false,"reset":true,"items":["s"]}"#,
            r#"{"next":7,"more":false,"reset":true,"items":{}}"#,
            r#"{"next":7,"more":false,"reset":true,"items":[]"#,
            r#"{"next":7,"more":false,"reset":true,"items":[]}{}"#,
            r#"{"next":7,"more":false,"reset":null,"items":[]}"#,
            r#"[7,false,true,[]]"#,
        ] {
            assert_eq!(Page::parse(body.as_bytes()), Err(PageError), "{body}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, items: String) {
            let _ = (Page::parse(&body), Page::parse(page(&items).as_bytes()));
        }
    }
}
