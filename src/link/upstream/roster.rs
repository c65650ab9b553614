//! The children of this node, kept by its parent: what is there comes back first, then a newer list goes up.

use nqsync_core::model::NodeId;
use nqsync_core::protocol::roster::{Keep, Kept, Roster, hash, render};
use serde_json::json;

use super::{LinkError, Upstream};
use crate::node::roster;
use crate::store::{StoreError, audit, queries};

/// Fact of the store: the hash of the list above that could not be proved, as it was told last.
const FOREIGN: &str = "roster_foreign";

impl Upstream {
    /// Brings the list of children here and the copy of it above together. A parent of an earlier version keeps none.
    pub async fn settle_roster(&self) -> Result<(), LinkError> {
        let Some(held) = self.roster().clone() else {
            return Ok(());
        };
        let (node, mut text) = self.own_roster().await?;
        if held == hash(&text) || (held.is_empty() && text == render(&[])) {
            return Ok(());
        }
        let keys = self.inner.node.store.dir().join("keys");
        if !held.is_empty() {
            let kept: Roster = self.ask("roster/fetch", &json!({})).await?;
            match roster::verified(&keys, node, &kept) {
                Some(entries) => {
                    let now_ms = self.inner.node.clock.now_ms();
                    let store = &self.inner.node.store;
                    let changed = store
                        .write(move |tx| roster::take_back(tx, &entries, now_ms))
                        .await?;
                    if changed > 0 {
                        tracing::warn!(changed, "children that this node had forgotten are back");
                    }
                    text = self.own_roster().await?.1;
                }
                // It may be newer than what is here, as where this disk went back behind a new authority: it stays.
                None => return Ok(self.note_foreign(hash(&kept.text)).await?),
            }
        }
        if held == hash(&text) {
            return Ok(());
        }
        let Some(roster) = roster::signed(&keys, node, text) else {
            return Ok(());
        };
        let keep = Keep {
            replaces: held,
            roster,
        };
        let kept: Kept = self.ask("roster/keep", &keep).await?;
        *self.roster() = Some(kept.hash);
        Ok(())
    }

    async fn own_roster(&self) -> Result<(NodeId, String), LinkError> {
        let read = self.inner.node.store.read(|connection| {
            let own = queries::meta(connection, "node")?.and_then(|text| text.parse().ok());
            let own = own.ok_or_else(|| StoreError::NotInitialised("this directory".to_owned()))?;
            Ok::<_, StoreError>((own, render(&roster::own(connection)?)))
        });
        Ok(read.await?)
    }

    /// What is kept above is not what this node's authority signed: nothing of it is taken in, and nothing takes its place.
    /// Each list is told once.
    async fn note_foreign(&self, hash: String) -> Result<(), StoreError> {
        tracing::error!(
            "the list of children that the parent keeps is not signed by this node's authority, and is left there; is keys/ older than the list? Put the newest ca.key and ca.pem back"
        );
        let at = self.inner.node.clock.now_ms();
        let noted = self.inner.node.store.write(move |tx| {
            if tx.meta(FOREIGN)?.as_ref() == Some(&hash) {
                return Ok(());
            }
            tx.set_meta(FOREIGN, &hash)?;
            let act = audit::Act {
                at,
                actor: "nqsync",
                act: "roster.foreign",
                subject: "",
                detail: json!({ "hash": hash }),
            };
            audit::append(tx, &act)
        });
        noted.await
    }

    pub(super) fn roster(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.inner
            .roster
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
