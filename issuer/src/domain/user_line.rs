use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::Random;
use super::email::Email;
use super::field::{FieldError, noted};
use super::ids::UserId;
use super::password::{ForeignHashError, PasswordHash};
use super::role::RoleName;
use super::user::{Account, User, UserStatus};
use super::username::Username;

/// An account as one line of JSON: what an export writes and an import reads. Without `Debug`: it holds a hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    email: String,
    #[serde(default)]
    email_verified: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default = "default_roles")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(default = "default_scheme")]
    password_scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_pepper: Option<String>,
    password_hash: String,
}

/// What is wrong with a line; never repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No JSON, or not of the right shape.
    #[error("{0}")]
    Shape(String),
    /// Of the right shape, and still not acceptable; all of it at once.
    #[error("{}", clauses(.0))]
    Fields(Vec<FieldError>),
}

impl UserLine {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is not JSON, lacks a field, or has another one or one of another type.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        // The library would take an array for one, too.
        if !text.trim_start().starts_with('{') {
            return Err(LineError::Shape("is not one JSON object".to_owned()));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let line = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| LineError::Shape(shape(&error.path().to_string(), error.inner())))?;
        json.end().map_err(|error| LineError::Shape(shape("", &error)))?;
        Ok(line)
    }

    /// Whether it says which id the account is to have.
    #[must_use]
    pub fn names_id(&self) -> bool {
        self.id.is_some()
    }

    /// The account that it describes; what it leaves out is made up as for a new one.
    ///
    /// # Errors
    /// Names every field that is not acceptable.
    pub fn into_account(self, now: Timestamp, random: &dyn Random) -> Result<Account, LineError> {
        let mut wrong = Vec::new();
        let id = self.id.map(|id| noted("id", id.parse().map_err(|_| "must be a UUID"), &mut wrong));
        let email = noted("email", Email::parse(&self.email), &mut wrong);
        let username = self.username.map(|name| noted("username", Username::parse(&name), &mut wrong));
        let roles = self.roles.iter().map(|name| noted("roles", RoleName::parse(name), &mut wrong));
        let roles: Vec<_> = roles.collect();
        let status = self.status.map_or(Ok(UserStatus::Active), |status| {
            UserStatus::parse(&status).ok_or("must be active or suspended")
        });
        let status = noted("status", status, &mut wrong);
        let created_at =
            self.created_at.map_or(Ok(now), |at| at.parse().map_err(|_| "must be an RFC 3339 time"));
        let created_at = noted("created_at", created_at, &mut wrong);
        let password = PasswordHash::import(&self.password_scheme, self.password_pepper, self.password_hash);
        let field = match &password {
            Err(ForeignHashError::Scheme) => "password_scheme",
            _ => "password_hash",
        };
        let password = noted(field, password, &mut wrong);
        let (Some(email), Some(status), Some(created_at), Some(password), true) =
            (email, status, created_at, password, wrong.is_empty())
        else {
            return Err(LineError::Fields(wrong));
        };
        let user = User {
            id: id.flatten().unwrap_or_else(|| UserId::random(random)),
            email,
            email_verified: self.email_verified,
            username: username.flatten(),
            roles: roles.into_iter().flatten().collect(),
            status,
            epoch: 0,
            created_at,
            updated_at: now,
        };
        Ok(Account { user, password })
    }
}

impl From<&Account> for UserLine {
    fn from(Account { user, password }: &Account) -> Self {
        Self {
            id: Some(user.id.to_string()),
            email: user.email.as_str().to_owned(),
            email_verified: user.email_verified,
            username: user.username.as_ref().map(ToString::to_string),
            roles: user.roles.iter().map(ToString::to_string).collect(),
            status: Some(user.status.as_str().to_owned()),
            created_at: Some(user.created_at.to_string()),
            password_scheme: password.scheme().to_owned(),
            password_pepper: password.pepper().map(ToString::to_string),
            password_hash: password.bcrypt().to_owned(),
        }
    }
}

fn default_roles() -> Vec<String> {
    vec!["user".to_owned()]
}

fn default_scheme() -> String {
    "bcrypt".to_owned()
}

fn clauses(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect::<Vec<_>>().join("; ")
}

/// In our own words: the library's quote the value, which may be a hash that was put into the wrong field.
fn shape(path: &str, error: &serde_json::Error) -> String {
    if !error.is_data() {
        return format!("is not one JSON object (column {})", error.column());
    }
    let text = error.to_string();
    let name = text.split('`').nth(1).unwrap_or_default().escape_debug();
    if text.starts_with("missing field") {
        format!("{name} is missing")
    } else if text.starts_with("unknown field") {
        format!("{name} is no field of a user")
    } else if text.starts_with("duplicate field") {
        format!("{name} is there twice")
    } else {
        format!("{path} is of another type")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;
    use crate::domain::keys::KeyId;

    const HASH: &str = "$2y$10$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234";

    fn now() -> Timestamp {
        "2030-01-02T03:04:05Z".parse().unwrap()
    }

    fn read(text: &str) -> Result<Account, String> {
        let line = UserLine::parse(text).map_err(|error| error.to_string())?;
        line.into_account(now(), &SystemRandom).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_and_a_hash_are_enough() {
        let text = format!(r#"{{"email": "A@b.com", "password_hash": "{HASH}"}}"#);
        let Account { user, password } = read(&text).unwrap();
        assert_eq!((user.email.as_str(), user.email_verified, user.username), ("a@b.com", false, None));
        assert_eq!((user.roles, user.status), (vec![RoleName::parse("user").unwrap()], UserStatus::Active));
        assert_eq!((user.created_at, user.updated_at), (now(), now()));
        assert_eq!(password, PasswordHash::Plain { bcrypt: HASH.to_owned() });
    }

    #[test]
    fn what_is_written_is_read_again() {
        let user = User {
            id: UserId::random(&SystemRandom),
            email: Email::parse("a@b.com").unwrap(),
            email_verified: true,
            username: Some(Username::parse("alice").unwrap()),
            roles: vec![RoleName::parse("admin").unwrap(), RoleName::parse("user").unwrap()],
            status: UserStatus::Suspended,
            epoch: 0,
            created_at: "2020-01-02T03:04:05.678Z".parse().unwrap(),
            updated_at: now(),
        };
        let bcrypt = HASH.to_owned();
        for password in [
            PasswordHash::Plain { bcrypt: bcrypt.clone() },
            PasswordHash::Peppered { pepper: KeyId::new("p1"), bcrypt },
        ] {
            let account = Account { user: user.clone(), password };
            let text = serde_json::to_string(&UserLine::from(&account)).unwrap();
            assert_eq!(read(&text), Ok(account), "{text}");
        }
    }

    #[test]
    fn every_mistake_names_its_field_and_no_value() {
        let with = |fields: &str| format!(r#"{{"email": "a@b.com", "password_hash": "{HASH}"{fields}}}"#);
        for (text, error) in [
            (r#"{"email": "a@b.com"}"#.to_owned(), "password_hash is missing"),
            (with(r#", "plan": "hush""#), "plan is no field of a user"),
            (with(r#", "email": "hush""#), "email is there twice"),
            (with(r#", "roles": "hush""#), "roles is of another type"),
            (with(r#", "roles": ["user", 5]"#), "roles[1] is of another type"),
            (with(r#", "email_verified": "hush""#), "email_verified is of another type"),
            (
                with(r#", "id": "hush", "status": "hush""#),
                "id must be a UUID; status must be active or suspended",
            ),
            (with(r#", "created_at": "hush""#), "created_at must be an RFC 3339 time"),
            (with(r#", "roles": ["hush hush"]"#), "roles must have 1 to 64 characters"),
            (with(r#", "password_scheme": "hush""#), "password_scheme must be bcrypt without a pepper"),
            (
                r#"{"email": "hush", "password_hash": "hush"}"#.to_owned(),
                "email must have the form name@domain; password_hash must be",
            ),
            ("hush".to_owned(), "is not one JSON object"),
            (r#"["hush"]"#.to_owned(), "is not one JSON object"),
            (r#" {"email": hush}"#.to_owned(), "is not one JSON object (column 12)"),
            ("{}{}".to_owned(), "email is missing"),
            (format!("{} hush", with("")), "is not one JSON object (column"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.starts_with(error), "{text} gave {refused}");
            assert!(!refused.contains("hush"), "{refused}");
        }
    }
}
