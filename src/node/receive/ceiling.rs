//! What is above the ceiling of the way it came by.

use nqsync_core::model::Classification;
use nqsync_core::protocol::{Line, SetAside};

use super::Incoming;

/// Parts from a batch what is above a ceiling. Its content goes no further: it is refused by its name alone.
pub fn within(lines: Vec<Incoming>, ceiling: Classification) -> (Vec<Incoming>, Vec<SetAside>) {
    let mut refused = Vec::new();
    let mut lines = lines;
    lines.retain(|incoming| {
        let (Ok(Line::Record(record)) | Ok(Line::Brought(record))) = &incoming.line else {
            return true;
        };
        let passes = record.level().may_come_in(ceiling);
        if !passes {
            refused.push(SetAside {
                id: record.key().id,
                code: "above_ceiling".to_owned(),
                reason: "the record is above the level of secrecy of this way".to_owned(),
            });
        }
        passes
    });
    (lines, refused)
}
