//! Comparing record by record with the parent: which differ, and on which side each is.

use std::collections::BTreeMap;

use nqsync_core::protocol::{Compare, Holdings, MAX_OFFERED, hex};
use serde::Serialize;
use uuid::Uuid;

use super::{LinkError, Upstream};
use crate::store::{StoreError, compare};

/// A record that the two sides do not hold alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The record.
    pub record: Uuid,
    /// Its kind.
    pub kind: String,
    /// `here`, `there`: only one side holds it; `both`: in two states.
    pub side: &'static str,
}

impl Upstream {
    /// The records that differ, out of how many held here. Equal buckets cost one line each.
    pub async fn differences(&self) -> Result<(Vec<Difference>, u64), LinkError> {
        let link = self.inner.link;
        let store = self.inner.node.store.clone();
        let ours = store
            .read(move |connection| compare::buckets(connection, link))
            .await?;
        let theirs: Holdings = self.ask("compare", &Compare::default()).await?;
        let total = ours.iter().map(|(_, count, _)| count).sum();
        let ours: BTreeMap<u8, (u64, String)> = ours
            .into_iter()
            .map(|(bucket, count, sum)| (bucket, (count, hex(&sum))))
            .collect();
        let theirs: BTreeMap<u8, (u64, String)> = theirs
            .buckets
            .into_iter()
            .map(|(bucket, count, sum)| (bucket, (count, sum)))
            .collect();
        let mut found = Vec::new();
        for bucket in 0..=u8::MAX {
            if ours.get(&bucket) != theirs.get(&bucket) {
                found.extend(self.differences_in(bucket).await?);
            }
        }
        Ok((found, total))
    }

    async fn differences_in(&self, bucket: u8) -> Result<Vec<Difference>, LinkError> {
        let link = self.inner.link;
        let store = self.inner.node.store.clone();
        let ours = store
            .read(move |connection| compare::bucket(connection, link, bucket))
            .await?;
        let asked = Compare {
            bucket: Some(bucket),
            ..Compare::default()
        };
        let theirs: Holdings = self.ask("compare", &asked).await?;
        let mut theirs: BTreeMap<Uuid, (String, String)> = theirs
            .records
            .into_iter()
            .map(|(id, kind, digest)| (id, (kind, digest)))
            .collect();
        let mut found = Vec::new();
        for held in ours {
            let side = match theirs.remove(&held.id) {
                None => "here",
                Some((_, digest)) if digest != hex(&held.digest.0) => "both",
                Some(_) => continue,
            };
            found.push(Difference {
                record: held.id,
                kind: held.kind.to_string(),
                side,
            });
        }
        found.extend(theirs.into_iter().map(|(record, (kind, _))| Difference {
            record,
            kind,
            side: "there",
        }));
        Ok(found)
    }

    /// Leaves these records to be sent again, on both sides; the next exchange carries them.
    pub async fn offer_again(&self, records: &[Uuid]) -> Result<(), LinkError> {
        let link = self.inner.link;
        for records in records.chunks(MAX_OFFERED) {
            let ours = records.to_vec();
            self.inner
                .node
                .store
                .write(move |tx| {
                    for id in ours {
                        compare::offer_again(tx.connection(), link, id)?;
                    }
                    tx.wake(link);
                    Ok::<_, StoreError>(())
                })
                .await?;
            let asked = Compare {
                offer: records.to_vec(),
                ..Compare::default()
            };
            let _: Holdings = self.ask("compare", &asked).await?;
        }
        Ok(())
    }
}
