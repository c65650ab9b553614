//! Which figures are closed, and what is counted in them.
//!
//! A unit's closed period counts as it was closed: what came later is beside it, in `store::closings`. An issuer's figures
//! as a whole are closed once its own period is, or that of every unit that had to report; then nothing moves them, no
//! new task and no changed due day either, but a restatement.

use std::collections::{BTreeMap, HashMap};

use nqsync_core::calendar::Period;
use nqsync_core::model::{Facts, PeriodStage, Tree, UnitId};
use nqsync_core::period::{State, standing};
use nqsync_core::sync::Record;
use rusqlite::Connection;
use uuid::Uuid;

use super::read;
use crate::store::{StoreError, closings, groups, records};

/// The records of a period that are counted as they were, not as they are.
#[derive(Debug, Default)]
pub struct Before(HashMap<Uuid, Option<Record>>);

impl Before {
    /// What counts in a period; `without` as it would be if what waits for this unit were taken in.
    pub fn of(
        connection: &Connection,
        period: &str,
        without: Option<UnitId>,
    ) -> Result<Before, StoreError> {
        Ok(Before(closings::before(connection, period, without)?))
    }

    /// Everything counts as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record as it is counted; `None`: not at all.
    pub fn counted<'a>(&'a self, record: &'a Record) -> Option<&'a Record> {
        match self.0.get(&record.key().id) {
            Some(before) => before.as_ref(),
            None => Some(record),
        }
    }
}

/// The record of the unit above about a unit's period.
pub fn review_id(unit: UnitId, period: &str) -> Option<Uuid> {
    let facts = Facts::Period {
        unit,
        reviewer: unit,
        period: period.to_owned(),
        stage: PeriodStage::Review,
    };
    facts.natural_id()
}

/// The unit's period is closed, or that of a unit it belongs to; but for what was decided about `ignored`.
pub fn is_locked(
    connection: &Connection,
    tree: &Tree,
    unit: UnitId,
    period: &str,
    ignored: Option<UnitId>,
) -> Result<bool, StoreError> {
    for info in tree.line(unit).filter(|info| Some(info.id) != ignored) {
        let Some(id) = review_id(info.id, period) else {
            continue;
        };
        if let Some(review) = records::load(connection, id)?
            && standing(None, Some(&review.record)).state == State::Locked
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Remembers for one transaction whose figures are closed.
#[derive(Default)]
pub struct Closed {
    known: BTreeMap<(UnitId, Period), bool>,
}

impl Closed {
    /// An issuer's figures of a period are closed as a whole.
    pub fn is(
        &mut self,
        connection: &Connection,
        tree: &Tree,
        issuer: UnitId,
        period: Period,
    ) -> Result<bool, StoreError> {
        if let Some(known) = self.known.get(&(issuer, period)) {
            return Ok(*known);
        }
        let closed = is_closed(connection, tree, issuer, &period.to_string(), None)?;
        self.known.insert((issuer, period), closed);
        Ok(closed)
    }
}

/// See [`Closed::is`]; `ignored`: as it was before something was decided about this unit.
pub fn is_closed(
    connection: &Connection,
    tree: &Tree,
    issuer: UnitId,
    period: &str,
    ignored: Option<UnitId>,
) -> Result<bool, StoreError> {
    if is_locked(connection, tree, issuer, period, ignored)? {
        return Ok(true);
    }
    // Whoever counts for an issuer closes the periods of the units below it.
    let mut anyone = false;
    if !closings::any(connection, period)? {
        return Ok(false);
    }
    for stored in groups::rollups_of(connection, issuer, period)? {
        let Ok(rollup) = read(&stored.record) else {
            continue;
        };
        for (unit, _) in rollup.units.iter().filter(|(_, part)| part.expected > 0) {
            if !is_locked(connection, tree, *unit, period, ignored)? {
                return Ok(false);
            }
            anyone = true;
        }
    }
    Ok(anyone)
}
