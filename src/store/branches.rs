//! Branches of a child's chain of openings: where a store was restored or copied, and which copy a person chose.

use std::collections::HashSet;

use nqsync_core::sync::Incarnation;
use rusqlite::{Connection, params};

use super::StoreError;
use super::links::{self, LinkId};

/// How a branch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Another opening came in its place, as after a restore.
    Superseded,
    /// It stands beside another live one; both wait for a person.
    Clone,
    /// The one that goes on.
    Chosen,
    /// One that does not.
    Refused,
}

impl State {
    /// As it is kept and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Superseded => "superseded",
            State::Clone => "clone",
            State::Chosen => "chosen",
            State::Refused => "refused",
        }
    }

    fn parse(text: &str) -> State {
        match text {
            "clone" => State::Clone,
            "chosen" => State::Chosen,
            "refused" => State::Refused,
            _ => State::Superseded,
        }
    }
}

/// One branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Whose.
    pub link: LinkId,
    /// Where it begins, as far as it is known; the name of the branch.
    pub incarnation: Incarnation,
    /// Its latest opening.
    pub head: Incarnation,
    /// How it stands.
    pub state: State,
    /// When it last showed itself, in milliseconds since 1970.
    pub seen_at: i64,
}

/// All branches of all children.
pub fn all(connection: &Connection) -> Result<Vec<Branch>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT link, incarnation, head, state, seen_at FROM branch ORDER BY link, seen_at",
    )?;
    let rows = statement.query_map([], |row| {
        let state: String = row.get(3)?;
        Ok(Branch {
            link: LinkId(row.get(0)?),
            incarnation: Incarnation(row.get(1)?),
            head: Incarnation(row.get(2)?),
            state: State::parse(&state),
            seen_at: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The branches of one child.
pub fn of(connection: &Connection, link: LinkId) -> Result<Vec<Branch>, StoreError> {
    let mut found = all(connection)?;
    found.retain(|branch| branch.link == link);
    Ok(found)
}

/// The children whose copies wait for a person.
pub fn held(connection: &Connection) -> Result<HashSet<LinkId>, StoreError> {
    let clones = all(connection)?;
    let clones = clones.iter().filter(|b| b.state == State::Clone);
    Ok(clones.map(|branch| branch.link).collect())
}

/// Keeps a branch.
pub fn put(connection: &Connection, branch: &Branch) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO branch (link, incarnation, head, state, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (link, incarnation) DO UPDATE SET head = ?3, state = ?4, seen_at = ?5",
        )?
        .execute(params![
            branch.link.0,
            branch.incarnation.0,
            branch.head.0,
            branch.state.as_str(),
            branch.seen_at
        ])?;
    Ok(())
}

/// Takes a child's sessions away, whoever holds them: what either side remembers of positions no longer fits, so that
/// the next contact opens anew and compares everything. `head`: the opening that goes on.
pub fn begin_anew(
    connection: &Connection,
    link: LinkId,
    head: Incarnation,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE link SET peer_head = ?2, up_batch = 0, up_hash = randomblob(32), up_before = randomblob(32),
            down_batch = 0, down_hash = randomblob(32), down_before = randomblob(32), agrees = NULL
         WHERE link = ?1",
        params![link.0, head.0],
    )?;
    links::forget(connection, link)
}
