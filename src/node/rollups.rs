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

/// Marks everything.
pub fn touch_all(_node: &super::Node, _tx: &mut Tx<'_>) -> Result<(), StoreError> {
    Ok(())
}

/// Recomputes.
pub async fn refresh(_node: &super::Node) -> Result<(), StoreError> {
    Ok(())
}
