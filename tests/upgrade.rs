//! What version 0.1.0 wrote on disk and on the wire must be readable by every later version. The samples under
//! `tests/fixtures/0.1.0` are never written again once the version is released;
//! `NQSYNC_WRITE_FIXTURES=1 cargo test --test upgrade` makes those of the version under work.

mod support;

use std::path::{Path, PathBuf};

use nqsync::node::offer::{self, Target};
use nqsync::node::receive;
use nqsync::store::links::{self, Position};
use nqsync::store::{Store, StoreError, StoreOptions, records};
use nqsync_core::model::{Facts, Kind};
use nqsync_core::protocol::{Line, parse_line, render_record};
use serde_json::json;
use support::{Place, values};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0")
}

/// A province with a task, a report on it with a conflict, and a deleted record; its batch for a commune.
async fn write_samples() {
    let ministry = Place::ministry("BO").await;
    let unit = ministry.add_unit("66", "province", None).await;
    let province = Place::child(&ministry, "66", unit).await;
    let commune_unit = province.add_unit("24001", "commune", None).await;
    let commune = Place::child(&province, "24001", commune_unit).await;
    let assigned = json!({ "text": "24001", "units": [commune_unit] });
    let task = province
        .create(
            unit,
            Facts::Task {
                issuer: unit,
                parent: None,
            },
            values([("title", json!("Sửa đường truyền")), ("lead", assigned)]),
        )
        .await;
    let report = |place: &Place, text: &str| {
        let facts = Facts::Report {
            unit: commune_unit,
            issuer: unit,
            task,
            period: "2026-03".into(),
        };
        let progress = json!({ "status": "in_progress", "percent": "40" });
        let written = values([("progress", progress), ("result", json!(text))]);
        let store = place.node.store.clone();
        let acting = nqsync::node::write::Acting {
            unit: commune_unit,
            person: "cán bộ".into(),
            now_ms: place.node.clock.now_ms(),
        };
        async move {
            store
                .write(move |tx| {
                    nqsync::node::write::create(tx, &acting, facts, written, None).map(drop)
                })
                .await
                .expect("a report");
        }
    };
    commune.sync().await;
    report(&commune, "theo xã").await;
    report(&province, "theo cán bộ").await;
    let dir = fixtures();
    std::fs::create_dir_all(&dir).expect("a folder");
    let target = Target {
        link: province
            .node
            .store
            .shown()
            .links
            .iter()
            .find(|state| state.peer == commune.node.store.shown().node.expect("a node"))
            .expect("a link")
            .link,
        peer: commune.node.store.shown().node.expect("a node"),
        node: province.node.store.shown().node.expect("a node"),
        batch_bytes: 1 << 20,
        after: (-1, 0),
    };
    // Everything in scope is offered once more, so that the sample holds every kind there is.
    province
        .node
        .store
        .write(move |tx| links::forget(tx.connection(), target.link))
        .await
        .expect("everything offered again");
    let (node, tree) = (province.node.clone(), province.node.store.shown().tree);
    let batch = province
        .node
        .store
        .read(move |connection| {
            offer::prepare(&node, connection, &tree, target, &Position::default())
        })
        .await
        .expect("a read")
        .expect("a batch");
    std::fs::write(dir.join("batch.ndjson.zst"), batch.body).expect("written");
    commune.sync().await;
    let place = province.dir.path().to_path_buf();
    province.node.store.close();
    std::fs::copy(place.join("store.db"), dir.join("store.db")).expect("copied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_0_1_0_wrote_is_read_and_said_again_byte_for_byte() {
    if std::env::var_os("NQSYNC_WRITE_FIXTURES").is_some() {
        write_samples().await;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(fixtures().join("store.db"), dir.path().join("store.db"))
        .expect("the sample store");
    let store = Store::open(&StoreOptions::new(dir.path())).expect("a store of 0.1.0 opens");
    let (reports, all) = store
        .read(|connection| {
            let all = records::page(connection, nqsync::store::Rec(0), 1000)?;
            Ok::<_, StoreError>((records::of_kind(connection, Kind::Report)?, all))
        })
        .await
        .expect("its records are read");
    assert_eq!(reports.len(), 1);
    assert_eq!(
        reports[0].record.conflicts(),
        ["result"],
        "the conflict is still there"
    );
    for stored in &all {
        assert_eq!(
            stored.digest,
            stored.record.digest(),
            "digests mean the same"
        );
    }

    let body = std::fs::read(fixtures().join("batch.ndjson.zst")).expect("the sample batch");
    let lines = receive::decode(&body, 1 << 20, 1 << 20).expect("a batch of 0.1.0 unpacks");
    assert!(!lines.is_empty());
    let text = zstd::decode_all(&body[..]).expect("zstd");
    for line in String::from_utf8(text).expect("text").lines() {
        if let Ok(Line::Record(record)) = parse_line(line) {
            assert_eq!(render_record(&record), line);
        }
    }
}

#[test]
fn j8_an_upgrade_makes_a_verified_backup_first_and_keeps_it() {
    use nqsync::store::backup;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let database = dir.path().join("store.db");
    std::fs::copy(fixtures().join("store.db"), &database).expect("the sample store");
    Store::open(&StoreOptions::new(dir.path()))
        .expect("a store of 0.1.0 opens")
        .close();
    let kept = |place: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(place.join("backups")).expect("backups");
        entries.flatten().map(|entry| entry.path()).collect()
    };
    let made = kept(dir.path());
    assert_eq!(made.len(), 1, "{made:?}");
    let checked = backup::check(&made[0]).expect("a backup");
    assert!(checked.is_whole(), "{checked:?}");
    assert_eq!(checked.manifest.store_format, 1, "as it was");
    assert!(checked.manifest.records > 0);
    // A store that is up to date is not copied at every start; one that is put back and upgraded again is.
    Store::open(&StoreOptions::new(dir.path()))
        .expect("opens")
        .close();
    assert_eq!(kept(dir.path()).len(), 1);
    std::fs::copy(made[0].join("store.db"), &database).expect("put back");
    Store::open(&StoreOptions::new(dir.path()))
        .expect("opens")
        .close();
    assert_eq!(kept(dir.path()).len(), 2, "and the first one is kept");

    // Where no backup can be made, nothing is upgraded.
    let other = tempfile::tempdir().expect("a temporary folder");
    let database = other.path().join("store.db");
    std::fs::copy(fixtures().join("store.db"), &database).expect("the sample store");
    std::fs::write(other.path().join("backups"), "in the way").expect("room");
    let before = std::fs::read(&database).expect("bytes");
    let refused = Store::open(&StoreOptions::new(other.path()));
    assert!(refused.is_err_and(|error| error.to_string().contains("backups")));
    std::fs::remove_file(other.path().join("backups")).expect("out of the way");
    assert_eq!(user_version(&before), 1);
    assert_eq!(user_version(&std::fs::read(&database).expect("bytes")), 1);
}

/// The number that a database file carries for its program.
fn user_version(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[60..64].try_into().expect("four bytes"))
}
