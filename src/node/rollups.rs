//! Rollups at this node.

use nqsync_core::sync::Record;

use crate::store::{StoreError, Tx};

/// Marks what a change touches.
pub fn touched(
    _tx: &mut Tx<'_>,
    _record: &Record,
    _before: Option<&Record>,
) -> Result<(), StoreError> {
    Ok(())
}
