//! What leaves the scope of a link: at the peer, which is told, and here, where the peer told us.

use rusqlite::{Connection, params};

use super::StoreError;
use super::links::LinkId;
use super::records::{self, COLUMNS, Flags, Rec, Stored};

/// The peer knows that the record left its scope.
pub fn left_announced(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET scope = 0, pending = 0 WHERE link = ?1 AND rec = ?2 AND scope = 2",
        )?
        .execute(params![link.0, rec.0])?;
    Ok(())
}

/// A record that left our scope leaves that of a peer too. Answers whether the peer has to be told.
pub fn leave(connection: &Connection, link: LinkId, rec: Rec) -> Result<bool, StoreError> {
    let told = connection
        .prepare_cached(
            "UPDATE link_record SET scope = 2, pending = 1, ours = NULL, theirs = NULL, refused = 0, lane = 0
             WHERE link = ?1 AND rec = ?2 AND scope = 1",
        )?
        .execute(params![link.0, rec.0])?;
    Ok(told > 0)
}

/// The peer told that a record left our scope: unsent writes still go to it, and then nothing is compared any more.
pub fn left_by_peer(connection: &Connection, link: LinkId, rec: Rec) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET theirs = NULL, scope = CASE WHEN pending = 1 THEN scope ELSE 0 END
             WHERE link = ?1 AND rec = ?2 AND scope <> 2",
        )?
        .execute(params![link.0, rec.0])?;
    Ok(())
}

/// Records that left our scope, as the peer said: a page of them after a row number.
pub fn left_here(
    connection: &Connection,
    link: LinkId,
    after: Rec,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let columns: Vec<String> = COLUMNS
        .split(", ")
        .map(|name| format!("r.{name}"))
        .collect();
    let sql = format!(
        "SELECT {} FROM link_record lr CROSS JOIN record r ON r.rec = lr.rec
         WHERE lr.link = ?1 AND lr.rec > ?2 AND lr.scope = 0 AND r.flags & ?3
         ORDER BY lr.rec LIMIT ?4",
        columns.join(", ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![link.0, after.0, Flags::LEFT, limit], |row| {
        records::raw_row(row)
    })?;
    rows.map(|raw| records::understand(raw?)).collect()
}

/// A record that left our scope is shown to the parent, or has been.
pub fn bring(
    connection: &Connection,
    link: LinkId,
    rec: Rec,
    pending: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE link_record SET pending = ?3 WHERE link = ?1 AND rec = ?2 AND scope = 0",
        )?
        .execute(params![link.0, rec.0, pending])?;
    Ok(())
}
