//! Receipts on their way: a record has arrived where it was to go, and its owner is told.

use nqsync_core::model::UnitId;
use nqsync_core::protocol::Receipt;
use nqsync_core::sync::Record;
use nqsync_core::sync::scope::{Ends, ends};

use crate::store::links::LinkId;
use crate::store::{StoreError, Tx, receipts, records};

/// A receipt on its way to the record's owner.
pub(super) fn note_receipt(
    tx: &mut Tx<'_>,
    link: LinkId,
    receipt: &Receipt,
) -> Result<(), StoreError> {
    let state = tx.link(link)?;
    let Some(stored) = tx.load(receipt.id)? else {
        return Ok(());
    };
    // Only an end of the record on the peer's side can say that it holds it, and only what we have seen of it.
    let concerned = match ends(&stored.record, &tx.tree()) {
        Ends::Everywhere => false,
        Ends::Units(units) => units.contains(&receipt.unit),
    };
    let known = stored.record.extent().covers(&receipt.extent);
    if !state.is_beyond(receipt.unit) || !concerned || !known {
        return Ok(());
    }
    if receipts::note(
        tx.connection(),
        stored.rec,
        receipt.unit,
        &receipt.extent,
        receipt.at,
    )? {
        relay_receipt(tx, stored.rec, &stored.record, receipt.unit)?;
    }
    Ok(())
}

/// Passes a receipt on towards the owner, when the owner is not served here.
pub fn relay_receipt(
    tx: &mut Tx<'_>,
    rec: records::Rec,
    record: &Record,
    unit: UnitId,
) -> Result<(), StoreError> {
    let Some(owner) = record.facts().owner() else {
        return Ok(());
    };
    if tx.serves(owner) {
        return Ok(());
    }
    for state in tx
        .links()
        .iter()
        .filter(|state| state.is_beyond(owner) && !state.is_beyond(unit))
    {
        receipts::owe(tx.connection(), state.link, rec, unit)?;
        tx.wake(state.link);
    }
    Ok(())
}

/// A peer that forgot is told again which of its side's records arrived where.
pub fn owe_receipts(tx: &mut Tx<'_>, link: LinkId) -> Result<(), StoreError> {
    let state = tx.link(link)?;
    for (rec, owner, unit) in receipts::held(tx.connection())? {
        if state.is_beyond(owner) && !state.is_beyond(unit) {
            receipts::owe(tx.connection(), link, rec, unit)?;
        }
    }
    Ok(())
}
