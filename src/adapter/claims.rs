//! Two adapters that both decide one field of ours: which of them is right depends on who came last. Pure.

use std::collections::BTreeSet;

use nqsync_core::model::UnitId;

use super::profile::{Direction, Profile, Stream};

/// A profile with the units it is about, as the node's tree has them.
pub struct Claimant<'p> {
    /// Name of the adapter.
    pub name: &'p str,
    /// Its profile.
    pub profile: &'p Profile,
    /// The unit it acts for, and all below that unit.
    pub units: (UnitId, BTreeSet<UnitId>),
}

/// A field that another adapter decides too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The stream.
    pub stream: String,
    /// The field.
    pub field: String,
    /// The other adapter.
    pub other: String,
}

/// The fields of one adapter that another decides as well.
///
/// Where both sides of each adapter are equal (`both`), edits meet in our records and a conflict is kept. Where one of
/// them only reads (`in`), it takes the field for its own, and nobody else may.
pub fn clashes(mine: &Claimant<'_>, other: &Claimant<'_>) -> Vec<Clash> {
    let mut found = Vec::new();
    for stream in &mine.profile.streams {
        for theirs in &other.profile.streams {
            if stream.kind != theirs.kind || !meet(mine, stream, other, theirs) {
                continue;
            }
            for (field, rule) in &stream.fields {
                let Some(their_rule) = theirs.fields.get(field) else {
                    continue;
                };
                let decides = |direction| matches!(direction, Direction::In | Direction::Both);
                let pair = [rule.direction, their_rule.direction];
                if pair.into_iter().all(decides) && pair.contains(&Direction::In) {
                    found.push(Clash {
                        stream: stream.name.clone(),
                        field: field.clone(),
                        other: other.name.to_owned(),
                    });
                }
            }
        }
    }
    found
}

/// Whether two streams are about a unit in common.
fn meet(mine: &Claimant<'_>, stream: &Stream, other: &Claimant<'_>, theirs: &Stream) -> bool {
    let (unit, below) = &mine.units;
    let (other_unit, other_below) = &other.units;
    match (stream.subtree, theirs.subtree) {
        (false, false) => unit == other_unit,
        (true, false) => below.contains(other_unit),
        (false, true) => other_below.contains(unit),
        (true, true) => below.contains(other_unit) || other_below.contains(unit),
    }
}
