use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params};

use super::connect::{SqliteError, SqliteStore};
use super::sessions::end_all;
use crate::domain::email::Email;
use crate::domain::ids::UserId;
use crate::domain::keys::KeyId;
use crate::domain::password::PasswordHash;
use crate::domain::ports::{InsertUserError, PasswordChanged, StoreError, Users};
use crate::domain::role::RoleName;
use crate::domain::user::{Account, User, UserStatus};
use crate::domain::username::{LoginName, Username};
use crate::store::record::{moment, parsed, stored, wanted};

#[async_trait]
impl Users for SqliteStore {
    async fn insert(&self, account: &Account) -> Result<(), InsertUserError> {
        let account = account.clone();
        self.write(move |transaction| insert(transaction, &account)).await.map_err(taken)
    }

    async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.account(id).await?.map(|account| account.user))
    }

    async fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.read(move |t| find(t, "id", id.uuid().as_bytes().to_vec().into())).await
    }

    async fn by_login(&self, login: &LoginName) -> Result<Option<Account>, StoreError> {
        let (column, name) = match login {
            LoginName::Email(email) => ("email", email.as_str().to_owned()),
            LoginName::Username(username) => ("username", username.as_str().to_owned()),
        };
        self.read(move |transaction| find(transaction, column, name.into())).await
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

    async fn change_password(
        &self,
        id: UserId,
        epoch: u64,
        new: &PasswordHash,
        now: Timestamp,
    ) -> Result<PasswordChanged, StoreError> {
        let new = new.clone();
        Ok(self.write(move |transaction| change_password(transaction, id, epoch, &new, now)).await?)
    }
}

const INSERT: &str = "
    INSERT INTO users (id, email, email_verified, username, status, epoch,
                       password_scheme, password_pepper, password_hash, created_at, updated_at)
    VALUES (:id, :email, :email_verified, :username, :status, :epoch,
            :scheme, :pepper, :hash, :created_at, :updated_at)";

fn insert(transaction: &Transaction<'_>, account: &Account) -> Result<(), SqliteError> {
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
    let mut add =
        transaction.prepare_cached("INSERT INTO user_roles (user, position, role) VALUES (?, ?, ?)")?;
    for (position, role) in (0_i64..).zip(&user.roles) {
        add.execute((id.as_bytes(), position, role.as_str()))?;
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

const CHANGE_PASSWORD: &str = "
    UPDATE users SET password_scheme = :scheme, password_pepper = :pepper, password_hash = :hash,
                     epoch = epoch + 1, updated_at = :now
    WHERE id = :id AND epoch = :epoch AND status = :active";

fn change_password(
    transaction: &Transaction<'_>,
    id: UserId,
    epoch: u64,
    new: &PasswordHash,
    now: Timestamp,
) -> Result<PasswordChanged, SqliteError> {
    let changed = transaction.prepare_cached(CHANGE_PASSWORD)?.execute(named_params! {
        ":id": id.uuid().as_bytes(),
        ":epoch": stored(epoch),
        ":active": UserStatus::Active.as_str(),
        ":scheme": new.scheme(),
        ":pepper": new.pepper().map(KeyId::as_str),
        ":hash": new.bcrypt(),
        ":now": now.as_millisecond(),
    })?;
    if changed == 0 {
        return Ok(PasswordChanged::Superseded);
    }
    end_all(transaction, id)?;
    Ok(PasswordChanged::Yes)
}

fn find(transaction: &Transaction<'_>, column: &str, value: Value) -> Result<Option<Account>, SqliteError> {
    let query = format!("SELECT * FROM users WHERE {column} = ?");
    let mut statement = transaction.prepare_cached(&query)?;
    let found = statement.query_row([value], |row| Ok(account(row))).optional()?.transpose()?;
    let Some(mut account) = found else { return Ok(None) };
    let mut roles =
        transaction.prepare_cached("SELECT role FROM user_roles WHERE user = ? ORDER BY position")?;
    let roles = roles.query_map([account.user.id.uuid().as_bytes()], |row| row.get::<_, String>(0))?;
    for role in roles {
        account.user.roles.push(parsed(RoleName::parse(&role?), "a user's role")?);
    }
    Ok(Some(account))
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

fn taken(error: SqliteError) -> InsertUserError {
    let message = match &error {
        SqliteError::Database(rusqlite::Error::SqliteFailure(_, Some(message))) => message.as_str(),
        _ => "",
    };
    // SQLite names the columns of the index that said no.
    match message {
        "UNIQUE constraint failed: users.email" => InsertUserError::EmailTaken,
        "UNIQUE constraint failed: users.username" => InsertUserError::UsernameTaken,
        _ => InsertUserError::Store(error.into()),
    }
}
