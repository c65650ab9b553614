//! Downstream nodes and enrolment tokens.

use std::collections::HashSet;

use nqsync_core::model::{NodeId, UnitId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::StoreError;

/// A downstream node: who may connect, by the pin of its key.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `node`, documented there.
pub struct NodeRow {
    pub node: NodeId,
    pub unit: UnitId,
    pub pin: [u8; 32],
    pub certificate: String,
    pub enrolled_at: i64,
    pub revoked_at: Option<i64>,
    pub reason: Option<String>,
    /// A key that was certified and is not used yet.
    pub next_pin: Option<[u8; 32]>,
    /// A person wants the node to take a new key.
    pub key_asked: bool,
    /// How many keys it had before the one in use.
    pub keys_before: i64,
    /// How often a person decided about cutting it off.
    pub decisions: i64,
}

/// An enrolment token as the parent keeps it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `token`, documented there.
pub struct TokenRow {
    pub hash: [u8; 32],
    pub unit: UnitId,
    pub created_at: i64,
    pub expires_at: i64,
    pub used: Option<(i64, [u8; 32])>,
}

fn node_row(row: &Row<'_>) -> rusqlite::Result<NodeRow> {
    let (node, unit): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(1)?);
    Ok(NodeRow {
        node: NodeId(Uuid::from_bytes(node)),
        unit: UnitId(Uuid::from_bytes(unit)),
        pin: row.get(2)?,
        certificate: row.get(3)?,
        enrolled_at: row.get(4)?,
        revoked_at: row.get(5)?,
        reason: row.get(6)?,
        next_pin: row.get(7)?,
        key_asked: row.get(8)?,
        keys_before: row.get(9)?,
        decisions: row.get(10)?,
    })
}

/// What is read of a downstream node, for [`node_row`].
const COLUMNS: &str = "node, unit, pin, certificate, enrolled_at, revoked_at, reason, next_pin, key_asked, keys_before, decisions";

/// All downstream nodes, revoked ones too.
pub fn all(connection: &Connection) -> Result<Vec<NodeRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM node ORDER BY enrolled_at");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], node_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One downstream node.
pub fn one(connection: &Connection, node: NodeId) -> Result<Option<NodeRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM node WHERE node = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row([node.0.as_bytes()], node_row)
        .optional()?)
}

/// A node and all that were enrolled for the same unit, revoked ones too.
pub fn of_same_unit(connection: &Connection, node: NodeId) -> Result<Vec<NodeId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT node FROM node WHERE unit = (SELECT unit FROM node WHERE node = ?1)",
    )?;
    let rows = statement.query_map([node.0.as_bytes()], |row| {
        Ok(NodeId(Uuid::from_bytes(row.get(0)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The keys by which a node that is in force may speak, with their certificates: the one in use, then one that it may take.
pub fn keys(connection: &Connection, node: NodeId) -> Result<Vec<([u8; 32], String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT pin, certificate FROM node WHERE node = ?1 AND revoked_at IS NULL UNION ALL
         SELECT next_pin, next_certificate FROM node
         WHERE node = ?1 AND revoked_at IS NULL AND next_pin IS NOT NULL",
    )?;
    let rows = statement.query_map([node.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a downstream node.
pub fn insert(connection: &Connection, node: &NodeRow) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO node (node, unit, pin, certificate, enrolled_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            node.node.0.as_bytes(),
            node.unit.0.as_bytes(),
            node.pin,
            node.certificate,
            node.enrolled_at
        ],
    )?;
    Ok(())
}

/// Adds a downstream node, or replaces what is known of it, with its history. With another key, what was to follow upon the
/// former one is of no use.
pub fn set(connection: &Connection, node: &NodeRow) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO node (node, unit, pin, certificate, enrolled_at, revoked_at, reason, keys_before, decisions)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (node) DO UPDATE SET unit = ?2, pin = ?3, certificate = ?4, revoked_at = ?6, reason = ?7,
         keys_before = ?8, decisions = ?9,
         next_pin = iif(pin = ?3, next_pin, NULL), next_certificate = iif(pin = ?3, next_certificate, NULL),
         key_asked = iif(pin = ?3, key_asked, 0)",
        params![
            node.node.0.as_bytes(),
            node.unit.0.as_bytes(),
            node.pin,
            node.certificate,
            node.enrolled_at,
            node.revoked_at,
            node.reason,
            node.keys_before,
            node.decisions
        ],
    )?;
    Ok(())
}

/// Revokes a node, or takes a revocation back (`at` is `None`).
pub fn set_revoked(
    connection: &Connection,
    node: NodeId,
    at: Option<i64>,
    reason: &str,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET revoked_at = ?2, reason = ?3, decisions = decisions + 1 WHERE node = ?1",
        params![node.0.as_bytes(), at, reason],
    )?;
    Ok(())
}

/// Keeps a renewed certificate for the key that a node has.
pub fn set_certificate(
    connection: &Connection,
    node: NodeId,
    certificate: &str,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET certificate = ?2 WHERE node = ?1",
        params![node.0.as_bytes(), certificate],
    )?;
    Ok(())
}

/// Keeps a key that a node is going to use, beside the one it uses.
pub fn set_next_key(
    connection: &Connection,
    node: NodeId,
    pin: &[u8; 32],
    certificate: &str,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET next_pin = ?2, next_certificate = ?3 WHERE node = ?1",
        params![node.0.as_bytes(), pin, certificate],
    )?;
    Ok(())
}

/// The next key takes the place of the one before, which opens nothing any more.
pub fn take_next_key(connection: &Connection, node: NodeId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET pin = next_pin, certificate = next_certificate, next_pin = NULL, next_certificate = NULL,
         key_asked = 0, keys_before = keys_before + 1 WHERE node = ?1 AND next_pin IS NOT NULL",
        [node.0.as_bytes()],
    )?;
    Ok(())
}

/// The nodes that are to take a new key.
pub fn asked_for_key(connection: &Connection) -> Result<HashSet<NodeId>, StoreError> {
    let asked = all(connection)?.into_iter().filter(|row| row.key_asked);
    Ok(asked.map(|row| row.node).collect())
}

/// Wants a node to take a new key at its next contact.
pub fn ask_for_key(connection: &Connection, node: NodeId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET key_asked = 1 WHERE node = ?1",
        [node.0.as_bytes()],
    )?;
    Ok(())
}

/// The authority of ours by which a node knows us, if it has shown that.
pub fn authority_of(connection: &Connection, node: NodeId) -> Result<Option<[u8; 32]>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT authority FROM node WHERE node = ?1")?;
    let known = statement.query_row([node.0.as_bytes()], |row| row.get(0));
    Ok(known.optional()?.flatten())
}

/// A node has shown by which authority it knows us.
pub fn set_authority(
    connection: &Connection,
    node: NodeId,
    authority: &[u8; 32],
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE node SET authority = ?2 WHERE node = ?1 AND authority IS NOT ?2",
        params![node.0.as_bytes(), authority],
    )?;
    Ok(())
}

/// By which authorities the nodes in force know us; `None` for those that did not show it.
pub fn authorities(connection: &Connection) -> Result<Vec<Option<[u8; 32]>>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT authority FROM node WHERE revoked_at IS NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn token_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    let unit: [u8; 16] = row.get(1)?;
    Ok(TokenRow {
        hash: row.get(0)?,
        unit: UnitId(Uuid::from_bytes(unit)),
        created_at: row.get(2)?,
        expires_at: row.get(3)?,
        used: row.get::<_, Option<i64>>(4)?.zip(row.get(5)?),
    })
}

/// Keeps a new token's hash.
pub fn insert_token(connection: &Connection, token: &TokenRow) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO token (hash, unit, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![
            token.hash,
            token.unit.0.as_bytes(),
            token.created_at,
            token.expires_at
        ],
    )?;
    Ok(())
}

/// The token with this hash.
pub fn token(connection: &Connection, hash: &[u8; 32]) -> Result<Option<TokenRow>, StoreError> {
    Ok(connection
        .query_row(
            "SELECT hash, unit, created_at, expires_at, used_at, used_by FROM token WHERE hash = ?1",
            [hash],
            token_row,
        )
        .optional()?)
}

/// All tokens, used and expired ones too.
pub fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT hash, unit, created_at, expires_at, used_at, used_by FROM token")?;
    let rows = statement.query_map([], token_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Tokens that can still be used at `now_ms`.
pub fn open_tokens(connection: &Connection, now_ms: i64) -> Result<Vec<TokenRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, unit, created_at, expires_at, used_at, used_by FROM token WHERE used_at IS NULL AND expires_at > ?1",
    )?;
    let rows = statement.query_map([now_ms], token_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A token works once; the key it was used by may ask again.
pub fn use_token(
    connection: &Connection,
    hash: &[u8; 32],
    at: i64,
    by: &[u8; 32],
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE token SET used_at = ?2, used_by = ?3 WHERE hash = ?1",
        params![hash, at, by],
    )?;
    Ok(())
}
