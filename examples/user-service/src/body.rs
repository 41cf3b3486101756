//! A change of a profile, read from a body of which nothing is taken for granted.

use poem::error::ReadBodyError;
use poem::{FromRequest, Request, RequestBody};
use serde::Deserialize;

use crate::problem::Problem;

const LIMIT: usize = 64 * 1024;
const LONGEST_NAME: usize = 200;
const LONGEST_BIO: usize = 2000;

/// What a user may change. The e-mail belongs to his account, so it is not among it.
#[derive(Debug, Default)]
pub(crate) struct Change {
    name: Option<String>,
    bio: Option<String>,
}

impl Change {
    /// The new name, if there is one; no longer than 200 characters.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The new text, if there is one; no longer than 2000 characters.
    pub(crate) fn bio(&self) -> Option<&str> {
        self.bio.as_deref()
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let Raw { name, bio } = serde_json::from_slice(body).map_err(|_| Problem::MalformedBody)?;
        if longer(name.as_deref(), LONGEST_NAME) {
            return Err(Problem::Invalid { field: "name", message: "at most 200 characters" });
        }
        if longer(bio.as_deref(), LONGEST_BIO) {
            return Err(Problem::Invalid { field: "bio", message: "at most 2000 characters" });
        }
        Ok(Self { name, bio })
    }
}

impl<'a> FromRequest<'a> for Change {
    async fn from_request(_: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let bytes = body.take()?.into_bytes_limit(LIMIT).await.map_err(|failure| match failure {
            ReadBodyError::PayloadTooLarge => Problem::TooLarge,
            _ => Problem::MalformedBody,
        })?;
        Ok(Self::parse(&bytes)?)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Option<String>,
    bio: Option<String>,
}

fn longer(text: Option<&str>, limit: usize) -> bool {
    text.is_some_and(|text| text.chars().count() > limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &serde_json::Value) -> Result<Change, Problem> {
        Change::parse(body.to_string().as_bytes())
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let change = parse(&json!({ "name": "\u{e9}".repeat(200), "bio": "\u{e9}".repeat(2000) })).unwrap();
        assert_eq!(change.name().unwrap().chars().count(), 200);
        let refused = |body| match parse(&body) {
            Err(Problem::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(json!({ "name": "a".repeat(201) })), "name");
        assert_eq!(refused(json!({ "bio": "a".repeat(2001) })), "bio");
    }

    #[test]
    fn what_is_no_change_is_malformed() {
        for body in [json!({ "email": "a@b.com" }), json!({ "name": 1 }), json!([])] {
            assert_eq!(parse(&body).unwrap_err(), Problem::MalformedBody);
        }
        assert_eq!(Change::parse(b"{").unwrap_err(), Problem::MalformedBody);
    }
}
