//! Evidence files for tests.

use nqsync::node::files;
use nqsync::node::write::create;
use nqsync::store::{StoreError, blobs};
use nqsync_core::model::{Facts, UnitId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::relay::{Line, Relay};
use super::world::World;
use super::{Place, values};

/// Bytes that no compression shortens, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// The register that names a file.
pub fn named(id: &blobs::BlobId, size: u64) -> Value {
    json!({ "sha256": blobs::hex(id), "size": size, "name": "minh-chung.pdf" })
}

impl Place {
    /// Takes a file in and writes the record that names it.
    pub async fn add_file(
        &self,
        unit: UnitId,
        facts: Facts,
        bytes: &[u8],
    ) -> (Uuid, blobs::BlobId) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("file");
        std::fs::write(&source, bytes).expect("written");
        let (id, size) = blobs::take_in(self.dir.path(), &source, u64::MAX).expect("taken in");
        let acting = self.acting(unit);
        let mut values = values([("file", named(&id, size))]);
        if let Facts::Directive { .. } = facts {
            // A directive goes to all units below.
            let below = self.node.store.shown().tree.subtree(unit);
            values.insert("assigned".to_owned(), json!({ "units": below[1..] }));
        }
        let record = self
            .node
            .store
            .write(move |tx| {
                blobs::note(tx.connection(), &id, size, true, acting.now_ms)?;
                let written = create(tx, &acting, facts, values, None)?;
                files::follow(tx, None, written.rec, &written.record, acting.now_ms)?;
                Ok::<_, nqsync::node::Refusal>(written.record.key().id)
            })
            .await
            .expect("a record");
        (record, id)
    }

    /// A file's bytes, when it is here whole.
    pub async fn file(&self, id: blobs::BlobId) -> Option<Vec<u8>> {
        let state = self.node.store.read(move |c| blobs::state(c, &id)).await;
        match state.expect("a read") {
            Some((_, true)) => {
                Some(std::fs::read(blobs::path(self.dir.path(), &id)).expect("its bytes"))
            }
            _ => None,
        }
    }

    /// How many files are still owed to neighbours.
    pub async fn files_owed(&self) -> u64 {
        let counts = self.node.store.read(blobs::counts).await;
        counts.map_err(|e: StoreError| e).expect("a read").2
    }
}

/// A file over a slow line that is cut again and again.
pub struct CutLine {
    /// Length of the file.
    pub bytes: usize,
    /// Bytes per second.
    pub rate: u64,
    /// Bytes after which a connection is cut, about.
    pub cut_after: u64,
}

impl CutLine {
    /// It arrives whole; no cut costs more than what was under way; a report written meanwhile does not wait for it.
    pub async fn prove(&self) {
        let mut world = World::new().await;
        let task = world.task().await;
        world.settle().await;
        let facts = Facts::Evidence {
            unit: world.commune.unit(),
            issuer: world.province.unit(),
            task,
            period: "2026-03".into(),
            reviewer: world.province.unit(),
        };
        let bytes = noise(42, self.bytes);
        let unit = world.commune.unit();
        let (_, file) = world.commune.add_file(unit, facts, &bytes).await;
        let line = Line {
            rate: self.rate,
            cut_after: Some(self.cut_after),
            seed: 7,
        };
        let relay = Relay::to(&world.province.url().await, line).await;
        world.commune.connect(&relay.url()).await;
        let upstream = world.commune.upstream.clone().expect("a child");
        let sessions = 2 * self.bytes as u64 / self.cut_after + 10;
        let mut overtook = false;
        for session in 0..sessions {
            let exchange = async {
                upstream.open().await?;
                upstream.push().await?;
                let report = async {
                    if overtook || session == 0 {
                        return Ok(());
                    }
                    // Written while the file is on its way, and sent over the same connection.
                    let mut progress = upstream.progress();
                    let begun = progress.wait_for(|report| report.file.is_some());
                    begun.await.expect("the session lives");
                    let report = world.report(task, session as u32).await;
                    upstream.push().await?;
                    overtook = world.province.digest(report).await
                        == world.commune.digest(report).await
                        && world.province.file(file).await.is_none();
                    Ok(())
                };
                tokio::try_join!(report, upstream.files()).map(|_| ())
            };
            match exchange.await {
                Ok(()) => break,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
        assert!(overtook, "the report did not wait for the file");
        let arrived = world.province.file(file).await;
        assert!(
            arrived.as_ref() == Some(&bytes),
            "whole; after {} cuts",
            relay.cuts()
        );
        assert!(relay.cuts() >= 3, "the line was cut {} times", relay.cuts());
        // Under way when a cut comes: what stands in the buffers of the relay's two connections.
        let allowed = self.bytes as u64 * 102 / 100 + relay.cuts() * (256 << 10);
        let sent = relay.bytes_up();
        println!("{} bytes, {} cuts, {sent} sent", self.bytes, relay.cuts());
        assert!(
            sent < allowed,
            "{sent} bytes sent for {}; {allowed} allowed",
            self.bytes
        );
    }
}
