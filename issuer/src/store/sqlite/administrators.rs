use rusqlite::{Transaction, named_params};

use super::connect::SqliteError;
use crate::domain::permit::ADMINISTRATION;
use crate::domain::user::UserStatus;

/// Does what may take rights from somebody, unless it takes them from the last administrator. One transaction writes at a
/// time, so what is seen here is still so when it is committed.
pub(super) fn keeping_one<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce() -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let before = is_any(transaction)?;
    let done = work()?;
    // Where there was none before, as in a new database, there is nobody to keep.
    if before && !is_any(transaction)? { Err(SqliteError::LastAdministrator) } else { Ok(done) }
}

// Begins with the roles, of which few administer: so the work does not grow with the number of users.
const ANY: &str = "
    SELECT EXISTS (
        SELECT 1
        FROM role_permissions JOIN user_roles USING (role) JOIN users ON users.id = user_roles.user
        WHERE permission IN (SELECT value FROM json_each(:administration)) AND status = :active
        GROUP BY users.id
        HAVING count(DISTINCT permission) = :number)";

fn is_any(transaction: &Transaction<'_>) -> Result<bool, SqliteError> {
    let number = i64::try_from(ADMINISTRATION.len()).unwrap_or(i64::MAX);
    let parameters = named_params! {
        ":administration": serde_json::json!(ADMINISTRATION).to_string(),
        ":number": number,
        ":active": UserStatus::Active.as_str(),
    };
    Ok(transaction.prepare_cached(ANY)?.query_row(parameters, |row| row.get(0))?)
}
