use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::audit::AuditEntry;
use super::event::Report;
use super::ids::{SessionId, UserId};
use super::keys::{KeyKind, RingChange, SealedRing, SealedSecret};
use super::one_time::{FoundToken, MintedOneTimeToken, Purpose, TokenOwner};
use super::outbox::fate::Fate;
use super::outbox::{Channel, Claim, Claimed, OutboxEntry, OutboxStatus, Replay, Troubled};
use super::page::Place;
use super::password::{Password, PasswordHash};
use super::policy::{PasswordChoice, PasswordRefusal};
use super::revocation::RevocationPage;
use super::role::{Role, RoleName};
use super::session::Session;
use super::token::{
    AccessClaims, AuthenticRefreshToken, ForgedRefreshToken, MintedRefreshToken, TokenFingerprint,
    TokenRefusal,
};
use super::user::{Account, User, UserChange, UserQuery};
use super::username::LoginName;

/// What holds off those who guess.
mod abuse;

pub use self::abuse::{Alerts, Attempts, Blinder, LoginHistory};

/// Users and their password hashes.
///
/// A method that takes a [`Report`] writes the state, the report's events, and the revocations that follow from the
/// change in one transaction; if it changes nothing, it tells nothing. Every method answers within about three seconds, with [`StoreError::Unavailable`] if need be; what it wrote when
/// it answers `Ok` survives a crash; dropping the future half way leaves the whole write or none of it.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds an account.
    ///
    /// # Errors
    /// [`WriteUserError::EmailTaken`] and [`WriteUserError::UsernameTaken`] come from a unique index, never from
    /// a look beforehand; nothing is ever overwritten. Roles are kept as they are
    /// named, in their order; a name that no role has carries no permissions.
    async fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError>;

    /// The user with that id, as of now: never from a cache or a lagging replica.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The same, with the password hash.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError>;

    /// The user with that name, with the password hash; as of now, too.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError>;

    /// At most `limit` accounts in the order of their ids, and only those behind `after`: all of them, page by page, while
    /// others write.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// Puts `new` in the place of `old`, a hash of the same password, unless the hash has changed since.
    /// Says whether it did. Neither the epoch nor `updated_at` moves.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError>;

    /// At most `limit` of the users that the query is about: the newest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn list(
        &self,
        query: &UserQuery,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError>;

    /// Changes a user who is still in `epoch`, and moves `updated_at`. What the change cuts off
    /// ([`UserChange::cuts`]) is cut off in the same transaction: the epoch rises by one and the tokens of older epochs
    /// are revoked; and if sessions end, all of them do. Together with [`Sessions::open`] this means that
    /// no session that the old password opened, or was about to open, is left.
    ///
    /// # Errors
    /// As [`insert`](Self::insert), when the address or name belongs to somebody else; and
    /// [`WriteUserError::LastAdministrator`] when nobody would be left who is open and has all that an
    /// [administrator](super::permit::ADMINISTRATION) has, and somebody is now. That is decided in the transaction: of two
    /// administrators who close each other's accounts at the same time, one stays.
    async fn change(
        &self,
        id: UserId,
        epoch: u64,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError>;

    /// Removes a user who is still in `epoch` and his sessions, and revokes all his tokens.
    ///
    /// # Errors
    /// [`WriteUserError::LastAdministrator`], as [`change`](Self::change).
    async fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError>;
}

/// What became of a change of something that others may change too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Changed {
    /// It happened.
    Yes,
    /// It is not what it was by now, or gone; nothing was written.
    Superseded,
}

/// Roles and their permissions.
#[async_trait]
pub trait Roles: Send + Sync {
    /// Makes the role if there is none of that name; one that exists stays as it is.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn ensure(&self, role: &Role) -> Result<(), StoreError>;

    /// Those of the named roles that exist, in no particular order.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn named(&self, names: &[RoleName]) -> Result<Vec<Role>, StoreError>;

    /// All roles, by name.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn every(&self) -> Result<Vec<Role>, StoreError>;

    /// Puts `new` in the place of `old`, the role of that name as it is now; without `old` there must be none. The events of
    /// the report are about `actor`. If the change takes a permission away and the role has no more owners than
    /// [`CUT_AT_ONCE`](super::role::CUT_AT_ONCE), their epochs rise and their tokens are revoked.
    ///
    /// # Errors
    /// [`WriteRoleError::LastAdministrator`], as [`Users::change`].
    async fn put(
        &self,
        old: Option<&Role>,
        new: &Role,
        actor: UserId,
        report: &Report,
    ) -> Result<Changed, WriteRoleError>;

    /// Removes the role, if it is as `old` still.
    ///
    /// # Errors
    /// [`WriteRoleError::Owned`] as long as somebody has it.
    async fn remove(&self, old: &Role, report: &Report) -> Result<Changed, WriteRoleError>;
}

/// What administrators did. It is written with the [`Report`] of the deed, and never removed.
#[async_trait]
pub trait Audit: Send + Sync {
    /// At most `limit` entries: the newest first, and only those behind `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn entries(&self, after: Option<Place>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
}

/// Open sessions. What holds for a [`Report`] given to [`Users`] holds here.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens the session if its user is still active and still in the epoch that the session names: one
    /// transaction, so that a change of password or a suspension in between wins.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn open(&self, session: &Session, report: &Report) -> Result<Opened, StoreError>;

    /// The session with that id, if it has not been ended; it may have run out.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// Puts `new` in the place of `old`, provided that `old`'s refresh token is still the current one: one conditional
    /// write, so that of many exchanges of one token, on any number of replicas, one happens. A later
    /// [`by_id`](Self::by_id) of whoever lost sees what the winner wrote.
    ///
    /// # Errors
    /// When the store cannot answer; then it may have happened or not.
    async fn exchange(&self, old: &Session, new: &Session) -> Result<Exchanged, StoreError>;

    /// Ends the session, for ever, and revokes its tokens. Says whether there was one.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn end(&self, id: SessionId, report: &Report) -> Result<bool, StoreError>;

    /// Ends all sessions of a user, raises his epoch and revokes the tokens of older ones. Says whether there is such
    /// a user.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn end_all(&self, user: UserId, report: &Report) -> Result<bool, StoreError>;

    /// At most `limit` of the user's sessions that are open at `now`: the latest login first, and only those behind
    /// `after`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn page(
        &self,
        user: UserId,
        after: Option<Place>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exchanged {
    /// It happened.
    Yes,
    /// The token is not the current one any more, or the session has ended; nothing was written.
    Lost,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Opened {
    /// It is open.
    Yes,
    /// The user changed since the password was checked; nothing was written.
    Superseded,
}

/// The sealed key ring.
#[async_trait]
pub trait Keys: Send + Sync {
    /// All keys, whatever their state: as of now, and at least as new as the version that comes with them.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn load(&self) -> Result<SealedRing, StoreError>;

    /// Makes the whole change happen, provided that the ring still is of version `seen`, and raises the version by one: one
    /// transaction. So of many replicas that saw the same ring, one changes it. The change's
    /// [revocations](RingChange::revocations), as of `at`, are part of it.
    ///
    /// # Errors
    /// When the store cannot answer; then it may have happened or not.
    async fn change(&self, seen: u64, change: &RingChange, at: Timestamp) -> Result<RingChanged, StoreError>;
}

/// What became of a change of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RingChanged {
    /// It happened.
    Yes,
    /// The ring is another one by now; nothing was written.
    Superseded,
}

/// How old the keys are, for whoever watches.
pub trait KeyAges: Send + Sync {
    /// When the newest key of each kind was made that is still trusted.
    fn newest_made(&self) -> Vec<(KeyKind, Timestamp)>;
}

/// What waits to be told to the rest of the system, on its way out.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The user's events that have not been removed yet, in their order.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn of_user(&self, user: UserId) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Takes what is due out of the others' sight until the claim ends: all that is due of those users whose entries
    /// have waited longest, so that no two claims ever hold the front of one user's line at a time. Reads at most
    /// `limit` of it. What is not settled by the end of the claim is due again.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Writes what became of entries, and gives the rest of the claim back, due at `now`. What has left stays so,
    /// even if the claim has ended meanwhile.
    ///
    /// # Errors
    /// When the store cannot answer; then some of it may be written, and the rest is due when the claim ends.
    async fn settle(
        &self,
        claimed: &Claimed,
        fates: &[(Uuid, Fate)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes what was kept long enough: and, if they are `unheard` because nobody is there to be told, also events
    /// that wait, once they are as old.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn sweep(&self, now: Timestamp, unheard: bool) -> Result<(), StoreError>;

    /// How the outbox is doing.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn status(&self, channel: Channel) -> Result<OutboxStatus, StoreError>;

    /// At most `limit` entries that were tried in vain, those that are given up first, then the oldest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn troubled(&self, channel: Channel, limit: u32) -> Result<Vec<Troubled>, StoreError>;

    /// Makes entries wait again, due at once and as if never tried, and with them all that only waits for its next
    /// attempt or behind another entry. Says how many there were.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn replay(&self, which: &Replay, now: Timestamp) -> Result<u64, StoreError>;

    /// Changes whenever this process has written events. Others may have, too: look from time to time.
    fn news(&self) -> watch::Receiver<u64>;
}

/// Mails with links, and the one-time tokens in them. What holds for a [`Report`] given to [`Users`] holds here.
#[async_trait]
pub trait Letters: Send + Sync {
    /// Writes the report and nothing else: about a user who is still in the epoch that `owner` names; or about nobody,
    /// with the same operations, so that the time it takes does not tell the two apart.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn post(&self, owner: Option<TokenOwner>, report: &Report) -> Result<Changed, StoreError>;

    /// The token with that fingerprint, if it is somebody's, for that purpose, unused, and good at `now`.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn find(
        &self,
        purpose: Purpose,
        fingerprint: TokenFingerprint,
        now: Timestamp,
    ) -> Result<Option<FoundToken>, StoreError>;

    /// Uses the token up and [changes](Users::change) its owner, who must still be in its epoch: both or neither, in one
    /// transaction. Of many attempts with one token, on any number of replicas, one happens.
    ///
    /// # Errors
    /// As [`Users::change`].
    async fn redeem(
        &self,
        token: &FoundToken,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError>;
}

/// Which tokens are dead, in the order in which they died.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// At most `limit` entries behind the place `after` that have to be known at `now`, and the newest place.
    /// An entry that a later read shows is behind every entry that this one shows.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn after(&self, after: u64, limit: u32, now: Timestamp) -> Result<RevocationPage, StoreError>;

    /// Changes whenever this process has written a revocation. Others may have, too.
    fn news(&self) -> watch::Receiver<u64>;
}

/// Whether the store answers.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Asks the store for the least that proves it can read and is the one to write to.
    ///
    /// # Errors
    /// When it cannot answer.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// The store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time, or said no for a reason that may pass. The source names hosts: for logs only.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// It holds, or answered, something that this version cannot read.
    #[error("the store holds something that this version cannot read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// The store is unavailable because of `source`.
    #[must_use]
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Arc::new(source))
    }
}

/// Why an account was not added or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteUserError {
    /// Another user has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another user has that name.
    #[error("the user name is taken")]
    UsernameTaken,
    /// Nobody would be left who can administer.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a role was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteRoleError {
    /// Nobody would be left who can administer.
    #[error("the last administrator has this role")]
    LastAdministrator,
    /// Somebody has it.
    #[error("the role has owners")]
    Owned,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteUserError {
    /// What is wrong if neither address, name, roles nor status were written.
    #[must_use]
    pub fn unless_taken(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            other => StoreError::Corrupt(other.to_string()),
        }
    }
}

/// Judges, hashes and checks passwords where it cannot starve anything else.
///
/// Work is bounded and queued fairly by client; dropping the future gives the place in the queue back.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Whether there is room for work of that client, as of now: so that whoever has to be turned away costs nothing more.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is none.
    fn room(&self, client: Option<IpAddr>) -> Result<(), HashError>;

    /// What to store of a password, if the policy lets the user have it.
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is no room for the work.
    async fn choose(
        &self,
        choice: PasswordChoice,
        client: Option<IpAddr>,
    ) -> Result<Result<PasswordHash, PasswordRefusal>, HashError>;

    /// Compares. With nothing stored, an unknown user, it does and takes the same and says
    /// [`Verdict::Mismatch`].
    ///
    /// # Errors
    /// [`HashError::Overloaded`] when there is no room for the work.
    async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<Verdict, HashError>;
}

/// Whether a password is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is.
    Match {
        /// A hash of today's cost, scheme and pepper, if the stored one is not.
        rehash: Option<PasswordHash>,
    },
    /// It is not.
    Mismatch,
}

/// Why a password was neither hashed nor checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too much work waits already, in all or for this client, or it waited too long.
    #[error("too many passwords are waiting to be checked")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stored hash is damaged, or made with a pepper that the ring does not have.
    #[error("the stored password hash cannot be used: {0}")]
    Unusable(&'static str),
}

/// Signs access tokens and knows its own.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// The signed token.
    ///
    /// # Errors
    /// When the key cannot sign, which no key of the ring should do.
    fn sign(&self, claims: &AccessClaims) -> Result<String, SignError>;

    /// What a token of this issuer says, provided that it is good at `now`. Who the user is today is another
    /// question.
    ///
    /// # Errors
    /// Says what is wrong with the token.
    async fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenRefusal>;
}

/// A key did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key refused to sign")]
pub struct SignError;

/// Makes one-time tokens and recognises them.
pub trait OneTimeTokens: Send + Sync {
    /// A new one.
    fn mint(&self, purpose: Purpose) -> MintedOneTimeToken;

    /// What the store would know the token by, if it is one for that purpose; `None` for a text that is no token at all.
    fn fingerprint(&self, purpose: Purpose, token: &str) -> Option<TokenFingerprint>;
}

/// The public half of the signing keys.
pub trait Jwks: Send + Sync {
    /// The JSON Web Key Set (RFC 7517), as it goes over the wire.
    fn document(&self) -> Arc<str>;
}

/// Makes refresh tokens and knows its own.
pub trait RefreshTokens: Send + Sync {
    /// The first token of a session.
    fn mint(&self, session: SessionId) -> MintedRefreshToken;

    /// What a token says, provided that this issuer made it. Asks no store, so that forgeries cost nothing.
    ///
    /// # Errors
    /// When this issuer did not make it.
    fn authenticate(&self, token: &str) -> Result<AuthenticRefreshToken, ForgedRefreshToken>;

    /// The token that follows `parent`: computed from it and a key, so that it is the same however often, whenever and
    /// on whichever replica it is asked for, and need not be kept anywhere.
    fn child(&self, parent: &AuthenticRefreshToken) -> MintedRefreshToken;

    /// The child of `parent` that has that fingerprint, if there is one: perhaps under a key that was the newest when
    /// it was made, and is not any more.
    fn child_with(
        &self,
        parent: &AuthenticRefreshToken,
        fingerprint: TokenFingerprint,
    ) -> Option<MintedRefreshToken>;
}

/// Seals what has to wait in the store until it is mailed, and must not be read there: the links of reset mails and the like.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Encrypts `secret` and binds it to `context`, such as the id of its mail: it opens in no other.
    fn seal(&self, secret: &[u8], context: &[u8]) -> SealedSecret;

    /// Undoes [`seal`](Self::seal), on whichever replica, also after a change of the key.
    ///
    /// # Errors
    /// When it was sealed in another context or with a key that the ring does not have any more, or was changed.
    async fn open(&self, sealed: &SealedSecret, context: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal>;
}

/// What was sealed does not open: another key, another context, or a changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct BrokenSeal;
