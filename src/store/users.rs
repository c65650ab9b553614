//! Local users of the console.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// A user, as the table `user` has it.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Login name.
    pub name: String,
    /// Role by its name; one that this version does not know may do nothing.
    pub role: String,
    /// Hash of the password, as PHC text.
    pub secret: String,
    /// When the user was added, in milliseconds.
    pub added_at: i64,
    /// When role or password last changed, in milliseconds.
    pub changed_at: i64,
    /// Who else has had this user in hand: set the present password, or changed the role since; and who had those in hand.
    pub hands: Vec<String>,
}

const COLUMNS: &str = "name, role, secret, added_at, changed_at, hands";

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        name: row.get(0)?,
        role: row.get(1)?,
        secret: row.get(2)?,
        added_at: row.get(3)?,
        changed_at: row.get(4)?,
        hands: {
            let text: String = row.get(5)?;
            let read = serde_json::from_str(&text);
            read.map_err(|e| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, e.into()))?
        },
    })
}

/// All users by name.
pub fn all(connection: &Connection) -> Result<Vec<UserRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM user ORDER BY name");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], user_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One user.
pub fn one(connection: &Connection, name: &str) -> Result<Option<UserRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM user WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([name], user_row).optional()?)
}

/// Adds a user, or replaces one of the same name.
pub fn put(connection: &Connection, user: &UserRow) -> Result<(), StoreError> {
    let sql = format!("INSERT OR REPLACE INTO user ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    connection.execute(
        &sql,
        params![
            user.name,
            user.role,
            user.secret,
            user.added_at,
            user.changed_at,
            serde_json::json!(user.hands).to_string()
        ],
    )?;
    Ok(())
}

/// Takes a user away.
pub fn remove(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection.execute("DELETE FROM user WHERE name = ?1", [name])?;
    Ok(())
}
