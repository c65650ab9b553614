//! Reminders of deadlines, kept beside the records so that `status` need not count every task.
//!
//! Counting reads all tasks, and is done only while a reminder is in force. Where it comes out as before nothing is
//! written, so that a quiet node makes no commits.

use rusqlite::Connection;

use super::Node;
use super::commands::calendar::{self, Owed};
use super::commands::views::View;
use crate::api::Lang;
use crate::store::reminders::{self, Reminder};
use crate::store::{StoreError, queries};

/// Counts what people are reminded of, and keeps it where it differs from what was kept.
pub async fn refresh(node: &Node) -> Result<(), StoreError> {
    let worker = node.clone();
    let (now, before) = node
        .store
        .read(move |connection| {
            Ok::<_, StoreError>((count(&worker, connection)?, reminders::all(connection)?))
        })
        .await?;
    if same(&now, &before) {
        return Ok(());
    }
    node.store
        .write(move |tx| reminders::replace(tx.connection(), &now))
        .await
}

/// Whether two countings came out alike, whenever they were made.
fn same(one: &[Reminder], other: &[Reminder]) -> bool {
    let timeless = |all: &[Reminder]| -> Vec<Reminder> {
        let all = all.iter().cloned();
        all.map(|reminder| Reminder {
            as_of: 0,
            ..reminder
        })
        .collect()
    };
    timeless(one) == timeless(other)
}

fn count(node: &Node, connection: &Connection) -> Result<Vec<Reminder>, StoreError> {
    let id = |key| {
        let text = queries::meta(connection, key)?;
        Ok::<_, StoreError>(text.and_then(|text| text.parse().ok()))
    };
    let (Some(home), Some(here)) = (id("unit")?, id("node")?) else {
        return Ok(Vec::new());
    };
    let tree = queries::load_tree(connection)?;
    let view = View {
        connection,
        tree: &tree,
        home: nqsync_core::model::UnitId(home),
        here: nqsync_core::model::NodeId(here),
        zone: &node.settings.zone,
        period: node.settings.period,
        duties: &node.settings.duties,
        now_ms: node.clock.now_ms(),
        // Nothing that is kept is worded.
        lang: Lang::Vi,
    };
    let owed = calendar::owed(&view, &node.settings.reminders)?;
    let mut kept: Vec<Reminder> = owed.iter().map(|owed| kept(owed, view.now_ms)).collect();
    kept.sort_by(|a, b| (&a.regime, &a.period).cmp(&(&b.regime, &b.period)));
    Ok(kept)
}

fn kept(owed: &Owed, now_ms: i64) -> Reminder {
    Reminder {
        regime: owed.regime.clone(),
        period: owed.term.period.to_string(),
        stage: owed.stage,
        facts: owed.shown().to_string(),
        as_of: now_ms,
    }
}
