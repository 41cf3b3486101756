use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

use super::email::Email;
use super::ids::UserId;
use super::page::Place;
use super::password::PasswordHash;
use super::role::RoleName;
use super::username::Username;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name for ever.
    pub id: UserId,
    /// Unique among all users.
    pub email: Email,
    /// Whether the owner has proven that the address is his.
    pub email_verified: bool,
    /// Unique among all users that have one.
    pub username: Option<Username>,
    /// In the order in which they were given.
    pub roles: Vec<RoleName>,
    /// Whether the account may be used.
    pub status: UserStatus,
    /// The security counter: whatever makes older tokens wrong (other roles, another password) raises it. It is
    /// read together with the roles, so that a token always carries the epoch of what it says.
    pub epoch: u64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When anything above last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// His place in the list of users.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.uuid() }
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// It may.
    Active,
    /// An administrator has closed it for now.
    Suspended,
}

impl UserStatus {
    /// Its stable name, in stores and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// The status with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.as_str() == name)
    }
}

/// A user together with what proves that somebody is this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// What is stored of the password.
    pub password: PasswordHash,
}

/// Which users to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// Those who have this in their address or name.
    pub text: Option<SearchText>,
    /// Those who have this role.
    pub role: Option<RoleName>,
    /// Those whose account is so.
    pub status: Option<UserStatus>,
}

/// A piece of an address or a user name, in their canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText(String);

impl SearchText {
    /// The most characters that there is something to find for: an address is no longer.
    pub const MAX: usize = 254;

    /// Reads a piece, if there is one that is not too long.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Checked before any normalising, so that the work is bounded by it.
        if text.is_empty() || text.len() > Self::MAX {
            return None;
        }
        Some(Self(text.nfc().collect::<String>().to_lowercase().nfc().collect()))
    }

    /// The piece.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What shall be different about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// Another password.
    pub password: Option<PasswordHash>,
    /// Another address.
    pub email: Option<Email>,
    /// Whether the address is proven.
    pub email_verified: Option<bool>,
    /// Another user name, or none.
    pub username: Option<Option<Username>>,
    /// Other roles.
    pub roles: Option<Vec<RoleName>>,
    /// Closed or open.
    pub status: Option<UserStatus>,
}

/// What a change of a user makes worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// His access tokens, which say what is not true any more. Sessions stay, and get new ones.
    Tokens,
    /// His sessions, and the tokens with them.
    Sessions,
}

impl UserChange {
    /// Whether the user may have less rights after it.
    #[must_use]
    pub fn may_disempower(&self) -> bool {
        self.roles.is_some() || self.status == Some(UserStatus::Suspended)
    }

    /// What becomes worthless by it. Follows from the change, so that nobody can forget it.
    #[must_use]
    pub fn cuts(&self) -> Cut {
        let suspended = self.status == Some(UserStatus::Suspended);
        if self.password.is_some() || self.email.is_some() || suspended {
            Cut::Sessions
        } else if self.roles.is_some() {
            Cut::Tokens
        } else {
            Cut::Nothing
        }
    }
}
