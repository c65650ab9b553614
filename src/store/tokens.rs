//! Programs that may use the local API, by their tokens.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

/// A token, as the table `api_token` has it.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// What the program is called.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Role by its name; one that this version does not know may do nothing.
    pub role: String,
    /// When it was made, in milliseconds.
    pub added_at: i64,
    /// When it ends, in milliseconds.
    pub expires_at: i64,
    /// When it was taken back, in milliseconds.
    pub revoked_at: Option<i64>,
}

impl TokenRow {
    /// Whether it opens anything now.
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.revoked_at.is_none() && now_ms < self.expires_at
    }
}

const COLUMNS: &str = "name, hash, role, added_at, expires_at, revoked_at";

fn token_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        name: row.get(0)?,
        hash: row.get(1)?,
        role: row.get(2)?,
        added_at: row.get(3)?,
        expires_at: row.get(4)?,
        revoked_at: row.get(5)?,
    })
}

/// All tokens by name, those that ended among them.
pub fn all(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_token ORDER BY name");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], token_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The token of this name.
pub fn named(connection: &Connection, name: &str) -> Result<Option<TokenRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_token WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([name], token_row).optional()?)
}

/// The token whose secret has this hash.
pub fn hashed(connection: &Connection, hash: &[u8; 32]) -> Result<Option<TokenRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_token WHERE hash = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([hash], token_row).optional()?)
}

/// Keeps a token, in the place of one of the same name.
pub fn put(connection: &Connection, token: &TokenRow) -> Result<(), StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO api_token (name, hash, role, added_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            token.name,
            token.hash,
            token.role,
            token.added_at,
            token.expires_at,
            token.revoked_at
        ],
    )?;
    Ok(())
}
