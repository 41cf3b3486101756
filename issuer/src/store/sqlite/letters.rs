use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, named_params};
use uuid::Uuid;

use super::connect::{SqliteError, SqliteStore};
use super::outbox::append_counted;
use super::users::{change_user, taken};
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::one_time::{FoundToken, IssuedToken, Purpose, TokenOwner};
use crate::domain::ports::{Changed, Letters, StoreError, WriteUserError};
use crate::domain::token::TokenFingerprint;
use crate::domain::user::UserChange;
use crate::store::record::{nobody, parsed, stored};

#[async_trait]
impl Letters for SqliteStore {
    async fn post(&self, owner: Option<TokenOwner>, report: &Report) -> Result<Changed, StoreError> {
        let report = report.clone();
        Ok(self.tell(move |transaction| post(transaction, owner, &report)).await?)
    }

    async fn find(
        &self,
        purpose: Purpose,
        fingerprint: TokenFingerprint,
        now: Timestamp,
    ) -> Result<Option<FoundToken>, StoreError> {
        self.read(move |transaction| find(transaction, purpose, fingerprint, now)).await
    }

    async fn redeem(
        &self,
        token: &FoundToken,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError> {
        let (token, change, report) = (token.clone(), change.clone(), report.clone());
        self.tell(move |transaction| redeem(transaction, &token, &change, &report)).await.map_err(taken)
    }
}

fn post(
    transaction: &Transaction<'_>,
    owner: Option<TokenOwner>,
    report: &Report,
) -> Result<Changed, SqliteError> {
    // Nobody is looked for, too.
    let TokenOwner { user, epoch } = owner.unwrap_or_else(|| nobody(report));
    let counted = (stored(report.events.len() as u64), user.uuid(), stored(epoch));
    let count: Option<i64> = transaction
        .prepare_cached(COUNT)?
        .query_row((counted.0, counted.1.as_bytes(), counted.2), |row| row.get(0))
        .optional()?;
    if owner.is_some() && count.is_none() {
        return Ok(Changed::Superseded);
    }
    let count = parsed(u64::try_from(count.unwrap_or(0)), "a user's events")?;
    append_counted(transaction, (user, count), report)?;
    Ok(Changed::Yes)
}

const COUNT: &str = "UPDATE users SET events = events + ? WHERE id = ? AND epoch = ? RETURNING events";

const ISSUE: &str = "
    INSERT INTO one_time_tokens (fingerprint, purpose, user, epoch, expires_at)
    VALUES (:fingerprint, :purpose, :user, :epoch, :expires_at)";

/// Adds a token, and forgets those that have died by themselves.
pub(super) fn issue(
    transaction: &Transaction<'_>,
    token: &IssuedToken,
    now: Timestamp,
) -> Result<(), SqliteError> {
    transaction
        .prepare_cached("DELETE FROM one_time_tokens WHERE expires_at <= ?")?
        .execute([now.as_millisecond()])?;
    let user = token.owner.map(|owner| owner.user.uuid());
    transaction.prepare_cached(ISSUE)?.execute(named_params! {
        ":fingerprint": token.fingerprint.0,
        ":purpose": token.purpose.as_str(),
        ":user": user.as_ref().map(Uuid::as_bytes),
        ":epoch": token.owner.map(|owner| stored(owner.epoch)),
        ":expires_at": token.expires_at.as_millisecond(),
    })?;
    Ok(())
}

const FIND: &str = "
    SELECT user, epoch FROM one_time_tokens
    WHERE fingerprint = ? AND purpose = ? AND expires_at > ? AND user IS NOT NULL";

fn find(
    transaction: &Transaction<'_>,
    purpose: Purpose,
    fingerprint: TokenFingerprint,
    now: Timestamp,
) -> Result<Option<FoundToken>, SqliteError> {
    let wanted = (fingerprint.0, purpose.as_str(), now.as_millisecond());
    let owner = transaction
        .prepare_cached(FIND)?
        .query_row(wanted, |row| Ok((row.get::<_, Vec<u8>>("user")?, row.get::<_, i64>("epoch")?)))
        .optional()?;
    let Some((user, epoch)) = owner else { return Ok(None) };
    let user = UserId::from(parsed(Uuid::from_slice(&user), "a token's user")?);
    let epoch = parsed(u64::try_from(epoch), "a token's epoch")?;
    Ok(Some(FoundToken { purpose, fingerprint, owner: TokenOwner { user, epoch } }))
}

const USE_UP: &str = "
    DELETE FROM one_time_tokens WHERE fingerprint = ? AND purpose = ? AND expires_at > ?";

fn redeem(
    transaction: &Transaction<'_>,
    token: &FoundToken,
    change: &UserChange,
    report: &Report,
) -> Result<Changed, SqliteError> {
    let spent = (token.fingerprint.0, token.purpose.as_str(), report.at.as_millisecond());
    if transaction.prepare_cached(USE_UP)?.execute(spent)? == 0 {
        return Ok(Changed::Superseded);
    }
    change_user(transaction, (token.owner.user, token.owner.epoch), change, report)
}
