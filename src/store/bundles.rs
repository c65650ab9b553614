//! Bundles: those made for neighbours, until they are answered for, and those of neighbours, for ever.

use nqsync_core::protocol::bundle::{Answer, At, Memory};
use nqsync_core::sync::Incarnation;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use super::links::LinkId;

/// A bundle made here.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `bundle_out`, documented there.
pub struct Made {
    pub link: LinkId,
    pub at: At,
    pub made_at: i64,
    pub answer: bool,
    pub placed: bool,
    pub answered_at: Option<i64>,
}

/// Bundles whose contents are kept while no receipt comes: a receipt for an older one then says nothing.
const CONTENTS_KEPT: i64 = 20;

fn made(row: &Row<'_>) -> rusqlite::Result<Made> {
    Ok(Made {
        link: LinkId(row.get(0)?),
        at: At {
            number: row.get::<_, i64>(1)? as u64,
            hash: row.get(2)?,
        },
        made_at: row.get(3)?,
        answer: row.get(4)?,
        placed: row.get(5)?,
        answered_at: row.get(6)?,
    })
}

const MADE: &str = "link, number, hash, at, answer, placed, answered_at";

/// The bundles made for a neighbour that are still known, oldest first.
pub fn made_for(connection: &Connection, link: LinkId) -> Result<Vec<Made>, StoreError> {
    let sql = format!("SELECT {MADE} FROM bundle_out WHERE link = ?1 ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([link.0], made)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps a bundle that is about to get its name. What stands in many bundles before it is not needed any more.
pub fn add(connection: &Connection, made: &Made, contents: &str) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO bundle_out (link, number, hash, at, answer, contents) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            made.link.0,
            made.at.number as i64,
            made.at.hash,
            made.made_at,
            made.answer,
            contents
        ],
    )?;
    connection.execute(
        "UPDATE bundle_out SET contents = NULL WHERE link = ?1 AND number <= ?2",
        params![made.link.0, made.at.number as i64 - CONTENTS_KEPT],
    )?;
    Ok(())
}

/// The bundle has its final name.
pub fn placed(connection: &Connection, link: LinkId, number: u64) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE bundle_out SET placed = 1 WHERE link = ?1 AND number = ?2",
        params![link.0, number as i64],
    )?;
    Ok(())
}

/// What a bundle that was not answered for holds; `None`: no such bundle, or it is not kept any more.
pub fn contents(
    connection: &Connection,
    link: LinkId,
    at: &At,
) -> Result<Option<String>, StoreError> {
    let found: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT contents FROM bundle_out
             WHERE link = ?1 AND number = ?2 AND hash = ?3 AND answered_at IS NULL",
        )?
        .query_row(params![link.0, at.number as i64, at.hash], |row| row.get(0))
        .optional()?;
    Ok(found.flatten())
}

/// What the bundles up to a number hold that were not answered for.
pub fn contents_up_to(
    connection: &Connection,
    link: LinkId,
    number: u64,
) -> Result<Vec<Option<String>>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT contents FROM bundle_out WHERE link = ?1 AND number <= ?2 AND answered_at IS NULL",
    )?;
    let rows = statement.query_map(params![link.0, number as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A receipt came for a bundle: those before it are of no interest any more.
pub fn answered(
    connection: &Connection,
    link: LinkId,
    number: u64,
    at: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM bundle_out WHERE link = ?1 AND number < ?2",
        params![link.0, number as i64],
    )?;
    connection.execute(
        "UPDATE bundle_out SET answered_at = ?3, contents = NULL WHERE link = ?1 AND number = ?2",
        params![link.0, number as i64, at],
    )?;
    Ok(())
}

/// The receiver went back to an old disk: whatever it answered for is no ground to build on.
pub fn forget_answers(connection: &Connection, link: LinkId) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE bundle_out SET answered_at = NULL WHERE link = ?1",
        [link.0],
    )?;
    Ok(())
}

/// Per neighbour, the oldest bundle that a receipt is expected for: number and when it was made.
pub fn unanswered(connection: &Connection) -> Result<Vec<Made>, StoreError> {
    let sql = format!(
        "SELECT {MADE} FROM bundle_out o WHERE answer = 1 AND answered_at IS NULL
            AND number = (SELECT min(number) FROM bundle_out
                          WHERE link = o.link AND answer = 1 AND answered_at IS NULL)"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], made)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How a bundle of a neighbour stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some of its segments are in.
    Begun,
    /// It is in.
    Taken,
    /// It came after one that replaced it.
    Late,
    /// It builds on one that did not come.
    Waits,
}

impl State {
    /// As it is kept and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Begun => "begun",
            State::Taken => "taken",
            State::Late => "late",
            State::Waits => "waits",
        }
    }
}

/// A bundle of a neighbour.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Columns of the table `bundle_in`, documented there.
pub struct Came {
    pub link: LinkId,
    pub at: At,
    pub before: At,
    pub base: u64,
    pub state: String,
    pub segments: u64,
    pub came_at: i64,
    pub head: Option<Incarnation>,
    pub answer: Option<Answer>,
    pub tip: bool,
}

fn came(row: &Row<'_>) -> rusqlite::Result<Came> {
    let answer: Option<String> = row.get(8)?;
    Ok(Came {
        link: LinkId(row.get(0)?),
        at: At {
            number: row.get::<_, i64>(1)? as u64,
            hash: row.get(2)?,
        },
        before: At {
            number: row.get::<_, i64>(3)? as u64,
            hash: row.get(4)?,
        },
        base: row.get::<_, i64>(5)? as u64,
        state: row.get(6)?,
        segments: row.get::<_, i64>(7)? as u64,
        // Written by this program alone; what cannot be read is told again with the next bundle.
        answer: answer.and_then(|text| serde_json::from_str(&text).ok()),
        came_at: row.get(9)?,
        tip: row.get(10)?,
        head: row.get::<_, Option<[u8; 16]>>(11)?.map(Incarnation),
    })
}

const CAME: &str = "link, number, hash, before_number, before_hash, base_number, state, segments, answer, at, tip, head";

/// All bundles of a neighbour, by number.
pub fn came_from(connection: &Connection, link: LinkId) -> Result<Vec<Came>, StoreError> {
    let sql = format!("SELECT {CAME} FROM bundle_in WHERE link = ?1 ORDER BY number, at");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([link.0], came)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the last bundle of a neighbour was taken in.
pub fn last_taken_at(connection: &Connection, link: LinkId) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT max(at) FROM bundle_in WHERE link = ?1 AND state = 'taken'")?
        .query_row([link.0], |row| row.get(0))?)
}

/// All bundles that wait for one that did not come.
pub fn waiting(connection: &Connection) -> Result<Vec<Came>, StoreError> {
    let sql = format!("SELECT {CAME} FROM bundle_in WHERE state = 'waits' ORDER BY link, number");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], came)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps how a bundle of a neighbour stands.
pub fn put(connection: &Connection, bundle: &Came) -> Result<(), StoreError> {
    let answer = bundle.answer.as_ref().map(serde_json::to_string);
    let answer = answer
        .transpose()
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    if bundle.tip {
        connection.execute(
            "UPDATE bundle_in SET tip = 0 WHERE link = ?1 AND tip = 1",
            [bundle.link.0],
        )?;
    }
    connection
        .prepare_cached(
            "INSERT INTO bundle_in (link, number, hash, before_number, before_hash, base_number, state, segments,
                answer, at, tip, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (link, number, hash) DO UPDATE SET state = ?7, segments = ?8, answer = ?9, at = ?10, tip = ?11,
                head = ?12",
        )?
        .execute(params![
            bundle.link.0,
            bundle.at.number as i64,
            bundle.at.hash,
            bundle.before.number as i64,
            bundle.before.hash,
            bundle.base as i64,
            bundle.state,
            bundle.segments as i64,
            answer,
            bundle.came_at,
            bundle.tip,
            bundle.head.map(|head| head.0)
        ])?;
    Ok(())
}

/// A bundle is in: what waited for it waits no more. Its issuer has heard the receipts up to `heard`, and those for what the
/// bundle holds again it does not need.
pub fn settled_by(connection: &Connection, bundle: &Came, heard: u64) -> Result<(), StoreError> {
    let number = bundle.at.number as i64;
    connection.execute(
        "UPDATE bundle_in SET state = 'late' WHERE link = ?1 AND state = 'waits' AND number <= ?2",
        params![bundle.link.0, number],
    )?;
    connection.execute(
        "UPDATE bundle_in SET answer = NULL
         WHERE link = ?1 AND NOT (number = ?2 AND hash = ?3) AND (number <= ?4 OR number > ?5)",
        params![
            bundle.link.0,
            number,
            bundle.at.hash,
            heard as i64,
            bundle.base as i64
        ],
    )?;
    Ok(())
}

/// What is remembered of a neighbour's bundles.
pub struct Remembered(Vec<Came>);

impl Remembered {
    /// Loads it.
    pub fn load(connection: &Connection, link: LinkId) -> Result<Remembered, StoreError> {
        Ok(Remembered(came_from(connection, link)?))
    }

    fn taken(&self) -> impl Iterator<Item = &Came> {
        let taken = State::Taken.as_str();
        self.0.iter().filter(move |bundle| bundle.state == taken)
    }

    /// How one of them stands.
    pub fn find(&self, at: &At) -> Option<&Came> {
        self.0.iter().find(|bundle| bundle.at == *at)
    }

    /// The numbers before another one that never came, at most `limit`.
    pub fn missing_before(&self, from: u64, number: u64, limit: usize) -> Vec<u64> {
        let came = |n: u64| self.0.iter().any(|bundle| bundle.at.number == n);
        (from..number).filter(|n| !came(*n)).take(limit).collect()
    }
}

impl Memory for Remembered {
    fn tip(&self) -> At {
        let tip = self.taken().find(|bundle| bundle.tip);
        tip.map(|bundle| bundle.at.clone()).unwrap_or_default()
    }

    fn has_taken(&self, at: &At) -> bool {
        self.taken().any(|bundle| bundle.at == *at)
    }

    fn has_any(&self, number: u64) -> bool {
        self.taken().any(|bundle| bundle.at.number == number)
    }

    fn before(&self, number: u64) -> Option<At> {
        let found = self.taken().filter(|bundle| bundle.at.number == number);
        found
            .max_by_key(|bundle| bundle.came_at)
            .map(|bundle| bundle.before.clone())
    }
}
