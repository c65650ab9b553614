//! `verify` over the line: everything waiting is exchanged first, then what is left is a difference.

use serde_json::json;
use uuid::Uuid;

use super::uplink::{Cut, Handle};
use crate::api::{Exit, Outcome, Request};
use crate::link::LinkError;
use crate::link::upstream::Difference;
use crate::node::commands::{self, Said};
use crate::node::{Node, Refusal};
use crate::store::lookups;

/// Differences that are listed; the count is of all.
const LISTED: usize = 1_000;

/// Compares with the parent record by record. `repair`: what differs is offered again by both sides, exchanged, and compared
/// once more.
pub async fn with_parent(node: &Node, uplink: &Handle, request: &Request, repair: bool) -> Outcome {
    let said = compare(node, uplink, repair).await;
    commands::told(request.lang, said)
}

async fn compare(node: &Node, uplink: &Handle, repair: bool) -> Result<Said, Refusal> {
    let way = &uplink.upstream;
    exchange(uplink).await.map_err(unreachable)?;
    let (mut found, mut records) = way.differences().await.map_err(unreachable)?;
    let before = found.len();
    if repair && before > 0 {
        let ids: Vec<Uuid> = found.iter().map(|difference| difference.record).collect();
        way.offer_again(&ids).await.map_err(unreachable)?;
        exchange(uplink).await.map_err(unreachable)?;
        (found, records) = way.differences().await.map_err(unreachable)?;
    }
    let link = way.link();
    let withheld = node
        .store
        .read(move |connection| lookups::withheld(connection, link))
        .await?;
    Ok(said(&found, records, before, repair, withheld.refused))
}

async fn exchange(uplink: &Handle) -> Result<(), LinkError> {
    uplink.upstream.push().await?;
    uplink.upstream.drain().await?;
    uplink.upstream.push().await
}

fn said(found: &[Difference], records: u64, before: usize, repair: bool, refused: u64) -> Said {
    let listed = &found[..found.len().min(LISTED)];
    let data = json!({
        "ok": found.is_empty(),
        "records": records,
        "differ": found.len(),
        "differed_before": before,
        "quarantined_at_peer": refused,
        "items": listed,
    });
    let mut said = Said::done(data);
    if found.is_empty() {
        let key = if before > 0 {
            "note-verify-repaired"
        } else {
            "note-verify-same"
        };
        let args = [
            ("records", records.to_string()),
            ("before", before.to_string()),
        ];
        return said.note(key, args);
    }
    said.exit = Exit::Degraded;
    let key = if repair {
        "note-verify-stays"
    } else {
        "note-verify-differs"
    };
    said.note(key, [("count", found.len().to_string())])
}

fn unreachable(error: LinkError) -> Refusal {
    match error {
        LinkError::Store(error) => error.into(),
        other => {
            let cut = Cut::from(&other);
            let key = match cut.exit {
                Exit::Unreachable => "verify-unreachable",
                _ => "verify-refused",
            };
            Refusal::with(cut.exit, key, [("detail", cut.message)])
        }
    }
}
