use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};

use super::administrators::keeping_one;
use super::connect::{SqliteError, SqliteStore};
use super::outbox::append;
use super::page::behind;
use super::revocations::revoke;
use super::sessions::remove_all;
use crate::domain::email::Email;
use crate::domain::event::Report;
use crate::domain::ids::UserId;
use crate::domain::keys::KeyId;
use crate::domain::page::Place;
use crate::domain::password::PasswordHash;
use crate::domain::ports::{Changed, StoreError, Users, WriteUserError};
use crate::domain::revocation::Revoked;
use crate::domain::role::RoleName;
use crate::domain::user::{Account, Cut, SearchText, User, UserChange, UserQuery, UserStatus};
use crate::domain::username::{LoginName, Username};
use crate::store::record::{moment, parsed, stored, wanted};

#[async_trait]
impl Users for SqliteStore {
    async fn insert(&self, account: &Account, report: &Report) -> Result<(), WriteUserError> {
        let (account, report) = (account.clone(), report.clone());
        self.tell(move |transaction| insert(transaction, &account, &report)).await.map_err(taken)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.account(id).await?.map(|account| account.user))
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.read(move |transaction| find_by_id(transaction, id)).await
    }

    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        let (column, name) = match login {
            LoginName::Email(email) => ("email", email.as_str().to_owned()),
            LoginName::Username(username) => ("username", username.as_str().to_owned()),
        };
        self.read(move |transaction| find(transaction, column, name.into())).await
    }

    async fn accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.read(move |transaction| page(transaction, after, limit)).await
    }

    async fn replace_hash(
        &self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        Ok(self.write(move |transaction| replace_hash(transaction, id, &old, &new)).await?)
    }

    async fn change(
        &self,
        id: UserId,
        epoch: u64,
        change: &UserChange,
        report: &Report,
    ) -> Result<Changed, WriteUserError> {
        let (new, report) = (change.clone(), report.clone());
        let change = move |transaction: &Transaction<'_>| {
            let change = || change_user(transaction, (id, epoch), &new, &report);
            if new.may_disempower() { keeping_one(transaction, change) } else { change() }
        };
        self.tell(change).await.map_err(taken)
    }

    async fn list(
        &self,
        query: &UserQuery,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let query = query.clone();
        self.read(move |transaction| list(transaction, &query, after, limit)).await
    }

    async fn delete(&self, id: UserId, epoch: u64, report: &Report) -> Result<Changed, WriteUserError> {
        let report = report.clone();
        let delete = move |transaction: &Transaction<'_>| {
            keeping_one(transaction, || delete(transaction, (id, epoch), &report))
        };
        self.tell(delete).await.map_err(taken)
    }
}

const INSERT: &str = "
    INSERT INTO users (id, email, email_verified, username, status, epoch,
                       password_scheme, password_pepper, password_hash, created_at, updated_at)
    VALUES (:id, :email, :email_verified, :username, :status, :epoch,
            :scheme, :pepper, :hash, :created_at, :updated_at)";

fn insert(transaction: &Transaction<'_>, account: &Account, report: &Report) -> Result<(), SqliteError> {
    let Account { user, password } = account;
    let id = user.id.uuid();
    transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":id": id.as_bytes(),
        ":email": user.email.as_str(),
        ":email_verified": user.email_verified,
        ":username": user.username.as_ref().map(Username::as_str),
        ":status": user.status.as_str(),
        ":epoch": stored(user.epoch),
        ":scheme": password.scheme(),
        ":pepper": password.pepper().map(KeyId::as_str),
        ":hash": password.bcrypt(),
        ":created_at": user.created_at.as_millisecond(),
        ":updated_at": user.updated_at.as_millisecond(),
    })?;
    add_roles(transaction, user.id, &user.roles)?;
    append(transaction, user.id, report)
}

fn add_roles(transaction: &Transaction<'_>, id: UserId, roles: &[RoleName]) -> Result<(), SqliteError> {
    let mut add =
        transaction.prepare_cached("INSERT INTO user_roles (user, position, role) VALUES (?, ?, ?)")?;
    for (position, role) in (0_i64..).zip(roles) {
        add.execute((id.uuid().as_bytes(), position, role.as_str()))?;
    }
    Ok(())
}

const REPLACE_HASH: &str = "
    UPDATE users SET password_scheme = :scheme, password_pepper = :pepper, password_hash = :hash
    WHERE id = :id AND password_hash = :old";

fn replace_hash(
    transaction: &Transaction<'_>,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, SqliteError> {
    let changed = transaction.prepare_cached(REPLACE_HASH)?.execute(named_params! {
        ":id": id.uuid().as_bytes(),
        ":old": old.bcrypt(),
        ":scheme": new.scheme(),
        ":pepper": new.pepper().map(KeyId::as_str),
        ":hash": new.bcrypt(),
    })?;
    Ok(changed == 1)
}

// What is not to change is NULL. A user name of NULL would be that, too, so there is a word for whether it changes.
const CHANGE: &str = "
    UPDATE users SET
        password_scheme = coalesce(:scheme, password_scheme),
        password_pepper = iif(:scheme IS NULL, password_pepper, :pepper),
        password_hash = coalesce(:hash, password_hash),
        email = coalesce(:email, email),
        email_verified = coalesce(:email_verified, email_verified),
        username = iif(:renamed, :username, username),
        status = coalesce(:status, status),
        epoch = epoch + :raised,
        updated_at = :now
    WHERE id = :id AND epoch = :epoch";

pub(super) fn change_user(
    transaction: &Transaction<'_>,
    (id, epoch): (UserId, u64),
    change: &UserChange,
    report: &Report,
) -> Result<Changed, SqliteError> {
    let cut = change.cuts();
    let username = change.username.as_ref().and_then(Option::as_ref);
    let changed = transaction.prepare_cached(CHANGE)?.execute(named_params! {
        ":id": id.uuid().as_bytes(),
        ":epoch": stored(epoch),
        ":scheme": change.password.as_ref().map(PasswordHash::scheme),
        ":pepper": change.password.as_ref().and_then(PasswordHash::pepper).map(KeyId::as_str),
        ":hash": change.password.as_ref().map(PasswordHash::bcrypt),
        ":email": change.email.as_ref().map(Email::as_str),
        ":email_verified": change.email_verified,
        ":renamed": change.username.is_some(),
        ":username": username.map(Username::as_str),
        ":status": change.status.map(UserStatus::as_str),
        ":raised": i64::from(cut > Cut::Nothing),
        ":now": report.at.as_millisecond(),
    })?;
    if changed == 0 {
        return Ok(Changed::Superseded);
    }
    if let Some(roles) = &change.roles {
        transaction
            .prepare_cached("DELETE FROM user_roles WHERE user = ?")?
            .execute([id.uuid().as_bytes()])?;
        add_roles(transaction, id, roles)?;
    }
    let ended = if cut == Cut::Sessions { remove_all(transaction, id)? } else { Vec::new() };
    append(transaction, id, &report.ending(ended))?;
    if cut > Cut::Nothing {
        revoke(transaction, &Revoked::User { user: id, epoch: epoch.saturating_add(1) }, report.at)?;
    }
    Ok(Changed::Yes)
}

fn delete(
    transaction: &Transaction<'_>,
    (id, epoch): (UserId, u64),
    report: &Report,
) -> Result<Changed, SqliteError> {
    let user = id.uuid();
    let mut find = transaction.prepare_cached("SELECT 1 FROM users WHERE id = ? AND epoch = ?")?;
    if !find.exists((user.as_bytes(), stored(epoch)))? {
        return Ok(Changed::Superseded);
    }
    let ended = remove_all(transaction, id)?;
    append(transaction, id, &report.ending(ended))?;
    transaction.prepare_cached("DELETE FROM users WHERE id = ?")?.execute([user.as_bytes()])?;
    revoke(transaction, &Revoked::User { user: id, epoch: epoch.saturating_add(1) }, report.at)?;
    Ok(Changed::Yes)
}

/// The account with that id.
pub(super) fn find_by_id(transaction: &Transaction<'_>, id: UserId) -> Result<Option<Account>, SqliteError> {
    find(transaction, "id", id.uuid().as_bytes().to_vec().into())
}

fn find(transaction: &Transaction<'_>, column: &str, value: Value) -> Result<Option<Account>, SqliteError> {
    let query = format!("SELECT * FROM users WHERE {column} = ?");
    let mut statement = transaction.prepare_cached(&query)?;
    let found = statement.query_row([value], |row| Ok(account(row))).optional()?.transpose()?;
    found.map(|account| with_roles(transaction, account)).transpose()
}

fn page(
    transaction: &Transaction<'_>,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<Account>, SqliteError> {
    // No id comes before the empty one.
    let after = after.map_or_else(Vec::new, |id| id.uuid().as_bytes().to_vec());
    let mut statement = transaction.prepare_cached("SELECT * FROM users WHERE id > ? ORDER BY id LIMIT ?")?;
    let found = statement.query_map((after, limit), |row| Ok(account(row)))?;
    found.map(|account| with_roles(transaction, account??)).collect()
}

// What is not asked for is NULL. The text is compared as it is: nothing in it has a meaning.
const LIST: &str = "
    SELECT * FROM users
    WHERE (created_at, id) < (:created_at, :id)
      AND (:role IS NULL OR id IN (SELECT user FROM user_roles WHERE role = :role))
      AND (:status IS NULL OR status = :status)
      AND (:text IS NULL OR instr(email, :text) > 0 OR instr(username, :text) > 0)
    ORDER BY created_at DESC, id DESC
    LIMIT :limit";

fn list(
    transaction: &Transaction<'_>,
    query: &UserQuery,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<User>, SqliteError> {
    let (created_at, id) = behind(after);
    let mut statement = transaction.prepare_cached(LIST)?;
    let rows = statement.query_map(
        named_params! {
            ":created_at": created_at,
            ":id": id.as_bytes(),
            ":role": query.role.as_ref().map(RoleName::as_str),
            ":status": query.status.map(UserStatus::as_str),
            ":text": query.text.as_ref().map(SearchText::as_str),
            ":limit": limit,
        },
        |row| Ok(account(row)),
    )?;
    rows.map(|row| Ok(with_roles(transaction, row??)?.user)).collect()
}

fn with_roles(transaction: &Transaction<'_>, mut account: Account) -> Result<Account, SqliteError> {
    let mut roles =
        transaction.prepare_cached("SELECT role FROM user_roles WHERE user = ? ORDER BY position")?;
    let roles = roles.query_map([account.user.id.uuid().as_bytes()], |row| row.get::<_, String>(0))?;
    for role in roles {
        account.user.roles.push(parsed(RoleName::parse(&role?), "a user's role")?);
    }
    Ok(account)
}

/// The account in this row, still without roles.
fn account(row: &Row<'_>) -> Result<Account, SqliteError> {
    let username: Option<String> = row.get("username")?;
    let status: String = row.get("status")?;
    let user = User {
        id: UserId::from(parsed(uuid::Uuid::from_slice(&row.get::<_, Vec<u8>>("id")?), "a user's id")?),
        email: parsed(Email::parse(&row.get::<_, String>("email")?), "a user's e-mail address")?,
        email_verified: row.get("email_verified")?,
        username: parsed(username.map(|name| Username::parse(&name)).transpose(), "a user's name")?,
        roles: Vec::new(),
        status: wanted(UserStatus::parse(&status), "a user's status")?,
        epoch: parsed(u64::try_from(row.get::<_, i64>("epoch")?), "a user's epoch")?,
        created_at: moment(row.get("created_at")?, "a user's created_at")?,
        updated_at: moment(row.get("updated_at")?, "a user's updated_at")?,
    };
    let scheme: String = row.get("password_scheme")?;
    let hash = PasswordHash::from_parts(&scheme, row.get("password_pepper")?, row.get("password_hash")?);
    Ok(Account { user, password: wanted(hash, "a password's scheme")? })
}

pub(super) fn taken(error: SqliteError) -> WriteUserError {
    let message = match &error {
        SqliteError::LastAdministrator => return WriteUserError::LastAdministrator,
        SqliteError::Database(rusqlite::Error::SqliteFailure(_, Some(message))) => message.as_str(),
        _ => "",
    };
    // SQLite names the columns of the index that said no.
    match message {
        "UNIQUE constraint failed: users.email" => WriteUserError::EmailTaken,
        "UNIQUE constraint failed: users.username" => WriteUserError::UsernameTaken,
        _ => WriteUserError::Store(error.into()),
    }
}
