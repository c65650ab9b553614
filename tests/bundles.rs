//! Bundles on media: carried, lost, repeated, changed, meant for others; without any line between the two nodes.

#[path = "bundles/program.rs"]
mod program;
#[path = "bundles/strange.rs"]
mod strange;
mod support;

use std::fs;
use std::sync::atomic::Ordering;

use nqsync::api::{Command, Exit};
use nqsync::store::{audit, records};
use nqsync::trust::identity::{NODE_KEY, NodeKey};
use nqsync_core::model::{Classification, Facts, Key, Kind};
use nqsync_core::protocol::bundle::frame;
use nqsync_core::protocol::render_record;
use nqsync_core::sync::Record;
use serde_json::json;
use support::Place;
use support::files::noise;
use support::medium::{Forged, Medium, export, outcomes, write_envelope};
use support::raw::{authored, line};
use support::values;
use support::world::{World, progress, report_facts};
use uuid::Uuid;

/// What a node holds, as bytes, and how far its links are.
async fn held(place: &Place) -> Vec<String> {
    let read = place.node.store.read(|c| {
        let page = records::page(c, records::Rec(0), 10_000)?;
        let records = page.iter().map(|stored| render_record(&stored.record));
        Ok::<_, nqsync::store::StoreError>(records.collect())
    });
    read.await.expect("a read")
}

fn evidence(world: &World, task: Uuid) -> Facts {
    Facts::Evidence {
        unit: world.commune.unit(),
        issuer: world.province.unit(),
        task,
        period: "2026-03".into(),
        reviewer: world.province.unit(),
    }
}

/// A commune and a province that know each other, with a task, and from here on without a line.
async fn apart() -> (World, Uuid) {
    let world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    (world, task)
}

async fn pending(place: &Place, other: &Place) -> u64 {
    let link = place.link_to(other).await.link;
    let count = place
        .node
        .store
        .read(move |c| nqsync::store::links::due_count(c, link));
    count.await.expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_and_files_go_up_by_bundle_and_the_receipt_and_a_verdict_come_down() {
    let (world, task) = apart().await;
    let (commune, province) = (&world.commune, &world.province);
    let happened = commune.node.store.write(|tx| {
        let act = audit::Act {
            at: support::START_MS,
            actor: "lan",
            act: "something",
            subject: "",
            detail: json!({}),
        };
        audit::append(tx, &act)
    });
    happened.await.expect("written");
    let signed = commune.data(Command::AuditVerify).await["countersigned_up_to"].as_i64();
    let report = world.report(task, 60).await;
    let bytes = noise(11, 9 << 20);
    let (proof, file) = commune
        .add_file(commune.unit(), evidence(&world, task), &bytes)
        .await;
    let up = Medium::new();
    let made = commune.bundle(None, &up).await;
    assert_eq!((&made["number"], &made["files"]), (&json!(1), &json!(1)));
    assert!(pending(commune, province).await > 0, "not confirmed yet");
    let taken = province.take_bundles(&up).await;
    assert_eq!(outcomes(&taken), ["taken"], "{}", taken.data);
    assert_eq!(taken.exit, Exit::Done);
    let at_home = commune.take_bundles(&up).await;
    assert_eq!(
        (outcomes(&at_home), at_home.exit),
        (vec!["own".to_owned()], Exit::Done)
    );
    assert_eq!(province.digest(report).await, commune.digest(report).await);
    assert!(province.holds(proof).await);
    assert_eq!(province.file(file).await, Some(bytes));

    // What the province has to say, and the receipt with it.
    let new = world.task().await;
    let down = Medium::new();
    let made = province.bundle(Some("24001"), &down).await;
    assert_eq!(made["answers"], 1, "{made}");
    let taken = commune.take_bundles(&down).await;
    assert_eq!(taken.data["items"][0]["answers"], 1, "{}", taken.data);
    assert!(commune.holds(new).await);
    assert_eq!(pending(commune, province).await, 0);
    assert_eq!(commune.files_owed().await, 0);
    let verified = commune.data(Command::AuditVerify).await;
    let now_signed = verified["countersigned_up_to"].as_i64();
    assert!(
        verified["ok"] == true && now_signed > signed,
        "{signed:?} {verified}"
    );
    let status = commune.data(Command::Status).await;
    assert_eq!(status["receipts"]["reached_issuer"], 2, "{status}");

    // Both hold the same, as a line that comes back finds out at once.
    let last = Medium::new();
    commune.bundle(None, &last).await;
    province.take_bundles(&last).await;
    // Whether the receipt has arrived nobody here knows, so it alone goes again; the province has nothing more to say.
    assert_eq!(commune.bundle(None, &last).await["records"], 0);
    assert_eq!(province.bundle(Some("24001"), &last).await["made"], false);
    let moved = commune.sync().await;
    assert_eq!(moved.agrees, Some(true));
    assert_eq!(moved.report.sent + moved.report.received, 0);
    // A bundle that the line has overtaken is no audit that was cut.
    let overtaken = Medium::new();
    world.report(task, 70).await;
    commune.bundle(None, &overtaken).await;
    world.report(task, 80).await;
    commune.sync().await;
    province.take_bundles(&overtaken).await;
    assert_eq!(commune.sync().await.agrees, Some(true));
    for place in [commune, province] {
        assert!(!place.has_problem("audit_contradicts").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_gets_its_first_load_by_bundle() {
    let ministry = Place::ministry("BO").await;
    let unit = ministry.add_unit("66", "province", None).await;
    let province = Place::child(&ministry, "66", unit).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let facts = Facts::Task {
            issuer: ministry.unit(),
            parent: None,
        };
        let lead = values([
            ("title", json!("Số hoá")),
            ("lead", support::world::units("66", &[unit])),
        ]);
        tasks.push(ministry.create(ministry.unit(), facts, lead).await);
    }
    let medium = Medium::new();
    ministry.bundle(Some("66"), &medium).await;
    province.take_bundles(&medium).await;
    for task in tasks {
        assert_eq!(province.digest(task).await, ministry.digest(task).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib1_a_bundle_read_twice_or_from_two_media_changes_nothing_the_second_time() {
    let (world, task) = apart().await;
    world.report(task, 60).await;
    let medium = Medium::new();
    world.commune.bundle(None, &medium).await;
    let copy = medium.copy();
    let first = world.province.take_bundles(&medium).await;
    assert_eq!(outcomes(&first), ["taken"]);
    let before = held(&world.province).await;
    for again in [&medium, &copy] {
        let again = world.province.take_bundles(again).await;
        assert_eq!(outcomes(&again), ["repeat"]);
        assert_eq!(again.exit, Exit::Done);
    }
    assert_eq!(held(&world.province).await, before);
    // The receipt is told once, however often the bundle was read.
    let down = Medium::new();
    let made = world.province.bundle(Some("24001"), &down).await;
    assert_eq!(made["answers"], 1, "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib2_a_lost_bundle_is_named_the_next_one_heals_it_and_one_built_upon_it_waits() {
    let (world, task) = apart().await;
    let (commune, province) = (&world.commune, &world.province);
    let medium = Medium::new();
    let report = world.report(task, 10).await;
    commune.bundle(None, &medium).await;
    let lost = commune.add_file(commune.unit(), evidence(&world, task), b"bang chung");
    let (proof, file) = lost.await;
    commune.bundle(None, &medium).await;
    world.report(task, 30).await;
    commune.answer(export(None, &medium, Some(2), false)).await;
    let second = medium.copy();
    medium.lose(1);
    let taken = province.take_bundles(&medium).await;
    assert_eq!(outcomes(&taken), ["taken", "waits"], "{}", taken.data);
    assert_eq!(taken.data["items"][1]["missing"], json!([2]));
    assert_eq!(taken.exit, Exit::Partly);
    assert!(!province.holds(proof).await);
    assert!(province.has_problem("bundle_waits").await);
    // A new one, not built upon the lost one, holds everything, although nobody has answered anything.
    commune.bundle(None, &medium).await;
    let taken = province.take_bundles(&medium).await;
    assert_eq!(outcomes(&taken), ["repeat", "waits", "taken"]);
    assert_eq!(taken.data["items"][2]["missing"], json!([2]));
    assert_eq!(province.file(file).await, Some(b"bang chung".to_vec()));
    assert_eq!(province.digest(report).await, commune.digest(report).await);
    assert!(!province.has_problem("bundle_waits").await);
    let shown = province.data(Command::BundleShow { folder: None }).await;
    let missing = shown["items"].as_array().expect("a list").iter();
    let missing = missing.filter(|item| item["outcome"] == "missing").count();
    assert_eq!(missing, 1, "{shown}");
    // Found again, it changes nothing, and its number is missing no more.
    let before = held(province).await;
    let found = province.take_bundles(&second).await;
    assert_eq!(outcomes(&found), ["repeat", "late", "late"]);
    assert_eq!(held(province).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib2_what_waits_is_taken_in_when_the_missing_one_has_come() {
    let (world, task) = apart().await;
    let medium = Medium::new();
    world.report(task, 10).await;
    world.commune.bundle(None, &medium).await;
    let report = world.report(task, 20).await;
    let since = export(None, &medium, Some(1), false);
    let made = world.commune.answer(since).await.data;
    assert_eq!((&made["base"], &made["records"]), (&json!(1), &json!(1)));
    let bundles = medium.bundles();
    let (outcome, item) = world.province.take_one(&bundles[1]).await;
    assert_eq!((outcome.as_str(), &item["missing"]), ("waits", &json!([1])));
    assert!(!world.province.holds(report).await);
    for bundle in &bundles {
        assert_eq!(world.province.take_one(bundle).await.0, "taken");
    }
    let (here, there) = (&world.commune, &world.province);
    assert_eq!(here.digest(report).await, there.digest(report).await);
    // One receipt for each of them, in order.
    let down = Medium::new();
    assert_eq!(there.bundle(Some("24001"), &down).await["answers"], 2);
    here.take_bundles(&down).await;
    assert_eq!(pending(here, there).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib3_a_bundle_cut_changed_or_signed_by_another_key_is_refused_whole() {
    let (world, task) = apart().await;
    world.report(task, 60).await;
    let medium = Medium::new();
    world.commune.bundle(None, &medium).await;
    let bundle = medium.bundles().remove(0);
    let before = held(&world.province).await;
    let mut seen = std::collections::BTreeMap::new();
    for name in ["000000", "000001", "000002"] {
        let path = bundle.join(name);
        let whole = fs::read(&path).expect("a file");
        let step = whole.len() / 12 + 1;
        let changed = (0..whole.len()).step_by(step).chain([whole.len() - 1]);
        let changed = changed.map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            bytes
        });
        let cut = [0, 1, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec());
        let longer = [[&whole[..], b"x"].concat()];
        for bytes in changed.chain(cut).chain(longer) {
            fs::write(&path, bytes).expect("written");
            let (outcome, item) = world.province.take_one(&bundle).await;
            assert_eq!(outcome, "refused", "{name}: {item}");
            *seen.entry(item["code"].to_string()).or_insert(0) += 1;
        }
        fs::remove_file(&path).expect("removed");
        if name != "000000" {
            assert_eq!(world.province.take_one(&bundle).await.0, "refused");
        }
        fs::write(&path, whole).expect("written");
    }
    assert!(
        seen.contains_key("\"signature\"") && seen.contains_key("\"damaged\""),
        "{seen:?}"
    );

    // Another child passes it off as its own: it can sign the envelope, and not make the seal open.
    let stolen = medium.copy();
    let folder = stolen.bundles().remove(0);
    let raw = fs::read(folder.join("000000")).expect("an envelope");
    let mut header = frame(&raw).expect("a frame").header().expect("a header");
    header.from = world.other.node.store.shown().node.expect("a node");
    let thief = NodeKey::load(&world.other.dir.path().join(NODE_KEY)).expect("a key");
    write_envelope(&folder, &header, &thief);
    let (outcome, item) = world.province.take_one(&folder).await;
    assert_eq!(
        (outcome.as_str(), &item["code"]),
        ("refused", &json!("seal"))
    );
    // In the name of the one that it was stolen from, and with a key that nobody has.
    header.from = world.commune.node.store.shown().node.expect("a node");
    write_envelope(&folder, &header, &thief);
    let item = world.province.take_one(&folder).await.1;
    assert_eq!(item["code"], "other_issuer");
    write_envelope(&folder, &header, &NodeKey::generate().expect("a key"));
    let item = world.province.take_one(&folder).await.1;
    assert_eq!(item["code"], "unknown_issuer");

    assert_eq!(held(&world.province).await, before);
    let shown = world
        .province
        .data(Command::BundleShow { folder: None })
        .await;
    assert_eq!(shown["total"], 0, "none of them was begun: {shown}");
    let refused = world.province.acts("bundle.refused").await;
    assert!(refused.len() > 40, "each refusal is in the audit");
    assert_eq!(world.province.take_one(&bundle).await.0, "taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib4_old_bundles_are_known_again_and_a_disk_that_went_back_is_told_and_healed() {
    let (mut world, task) = apart().await;
    let medium = Medium::new();
    let report = world.report(task, 10).await;
    world.commune.bundle(None, &medium).await;
    world.commune.shut().await;
    let disk = world.commune.copy();
    world.commune.start().await;
    world.report(task, 20).await;
    world.commune.bundle(None, &medium).await;
    let (commune, province) = (&world.commune, &world.province);
    province.take_bundles(&medium).await;
    let newest = province.digest(report).await;
    assert_eq!(newest, commune.digest(report).await);
    // Old ones, valid once, bring nothing back.
    for old in medium.bundles() {
        assert_eq!(province.take_one(&old).await.0, "repeat");
    }
    assert_eq!(province.digest(report).await, newest);

    // The commune's disk goes back to the day before its second bundle; it makes another second one.
    world.commune.shut().await;
    world.commune.put_back(&disk);
    world.commune.start().await;
    let other = world
        .task_of(&world.commune, world.commune.unit(), &[])
        .await;
    assert!(world.commune.holds(other).await);
    let (commune, province) = (&world.commune, &world.province);
    let again = Medium::new();
    let made = commune.bundle(None, &again).await;
    assert_eq!(made["number"], 2);
    let (outcome, item) = province.take_one(&again.bundles()[0]).await;
    assert_eq!((outcome.as_str(), &item["torn"]), ("taken", &json!(true)));
    assert!(province.has_problem("restored_or_cloned").await);
    assert_eq!(
        province.digest(report).await,
        newest,
        "nothing went back here"
    );
    // The next ones follow upon it, and the old branch is still known.
    commune.bundle(None, &again).await;
    let (outcome, item) = province.take_one(&again.bundles()[1]).await;
    assert_eq!((outcome.as_str(), &item["torn"]), ("taken", &json!(false)));
    for old in medium.bundles() {
        assert_eq!(province.take_one(&old).await.0, "repeat");
    }
    // What the commune lost comes home.
    let down = Medium::new();
    province.bundle(Some("24001"), &down).await;
    let taken = commune.take_bundles(&down).await;
    assert_eq!(taken.exit, Exit::Done, "{}", taken.data);
    assert_eq!(commune.digest(report).await, newest);
    let up = Medium::new();
    commune.bundle(None, &up).await;
    province.take_bundles(&up).await;
    assert_eq!(commune.sync().await.agrees, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib4_a_receiver_whose_disk_went_back_gets_everything_again() {
    let (mut world, task) = apart().await;
    world.province.shut().await;
    let disk = world.province.copy();
    world.province.start().await;
    let report = world.report(task, 10).await;
    let (up, down) = (Medium::new(), Medium::new());
    world.commune.bundle(None, &up).await;
    world.province.take_bundles(&up).await;
    world.province.bundle(Some("24001"), &down).await;
    world.commune.take_bundles(&down).await;
    assert_eq!(pending(&world.commune, &world.province).await, 0);
    world.province.shut().await;
    world.province.put_back(&disk);
    world.province.start().await;
    let (commune, province) = (&world.commune, &world.province);
    assert!(!province.holds(report).await);
    let second = world.report(task, 20).await;
    assert_eq!(second, report);
    // The commune builds upon what was confirmed, which the province does not have any more.
    let next = Medium::new();
    commune.bundle(None, &next).await;
    let (outcome, item) = province.take_one(&next.bundles()[0]).await;
    assert_eq!((outcome.as_str(), &item["missing"]), ("waits", &json!([1])));
    let told = Medium::new();
    world.task().await;
    province.bundle(Some("24001"), &told).await;
    commune.take_bundles(&told).await;
    commune.bundle(None, &next).await;
    let (outcome, _) = province.take_one(&next.bundles()[1]).await;
    assert_eq!(outcome, "taken");
    assert_eq!(province.digest(report).await, commune.digest(report).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib5_a_bundle_for_somebody_else_out_of_date_or_of_foreign_units_is_refused_and_in_the_audit()
 {
    let (world, task) = apart().await;
    let (commune, province, other) = (&world.commune, &world.province, &world.other);
    world.report(task, 60).await;
    let up = Medium::new();
    commune.bundle(None, &up).await;
    let bundle = up.bundles().remove(0);
    let item = other.take_one(&bundle).await.1;
    assert_eq!(item["code"], "unknown_issuer", "a neighbour of nobody here");
    world.task().await;
    let down = Medium::new();
    province.bundle(Some("24001"), &down).await;
    let item = other.take_one(&down.bundles()[0]).await.1;
    assert_eq!(item["code"], "other_recipient");
    assert_eq!(other.acts("bundle.refused").await.len(), 2);

    province
        .clock_ms
        .fetch_add(31 * 86_400_000, Ordering::SeqCst);
    let failed = province.try_take(&bundle).await.expect("an answer");
    assert_eq!(failed.data["items"][0]["code"], "expired");
    assert_eq!(failed.exit, Exit::Usage);
    province
        .clock_ms
        .fetch_sub(31 * 86_400_000, Ordering::SeqCst);

    // A record of another commune, signed and sealed in good order: it costs itself.
    let foreign = report_facts(other.unit(), province.unit(), task);
    let own = report_facts(commune.unit(), province.unit(), task);
    let lines = [
        line(
            1,
            foreign,
            other.unit(),
            values([("progress", progress(99))]),
        ),
        line(
            2,
            own.clone(),
            commune.unit(),
            values([("progress", progress(70))]),
        ),
    ];
    let by_hand = Medium::new();
    let forged = Forged::of(commune, &lines).await.write(&by_hand);
    let (outcome, item) = province.take_one(&forged).await;
    assert_eq!((outcome.as_str(), &item["set_aside"]), ("taken", &json!(1)));
    let aside = province.set_aside().await;
    assert_eq!((aside.len(), aside[0].code.as_str()), (1, "out_of_scope"));
    assert!(province.holds(own.natural_id().expect("a key")).await);

    // A commune whose clock stands at 1970 can never be in time; a person who knows that lets its bundle in.
    let mut slow = Forged::of(commune, &[]).await;
    (
        slow.header.number,
        slow.header.made_at,
        slow.header.expires_at,
    ) = (7, 0, 86_400_000);
    let by_hand = Medium::new();
    let folder = slow.write(&by_hand);
    assert_eq!(province.take_one(&folder).await.1["code"], "expired");
    let knowing = Command::BundleImport {
        folder: by_hand.text(),
        expired: true,
    };
    let taken = province.data(knowing).await;
    assert_eq!(taken["items"][0]["outcome"], "taken", "{taken}");

    // A revoked node's word counts no more.
    let node = commune.node.store.shown().node.expect("a node").to_string();
    let revoke = Command::NodeRevoke {
        node,
        reason: "mất máy".to_owned(),
        undo: false,
    };
    province.data(revoke).await;
    let item = province.take_one(&bundle).await.1;
    assert_eq!(item["code"], "unknown_issuer");
}

/// A record whose facts state a level of secrecy, as a node of a later version may hold one.
fn classified(facts: Facts, unit: nqsync_core::model::UnitId) -> Record {
    let plain = authored(9, facts, unit, values([("title", json!("Nội dung mật"))]));
    let raw = plain
        .facts_raw()
        .replacen('{', r#"{"classification":"confidential","#, 1);
    Record::new(plain.key(), &raw, plain.edits().to_vec()).expect("a record")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib6_a_record_above_the_ceiling_is_left_out_by_the_exporter_and_refused_by_the_importer() {
    let (world, task) = apart().await;
    let (commune, province) = (&world.commune, &world.province);
    let facts = Facts::Proposal {
        proposer: commune.unit(),
        owner: province.unit(),
        target_kind: Kind::Task,
        target: task,
        register: "title".to_owned(),
    };
    let secret = classified(facts, commune.unit());
    let Key { id, .. } = secret.key();
    let kept = secret.clone();
    let saved = commune
        .node
        .store
        .write(move |tx| tx.save(&kept, None, &[], None, support::START_MS).map(drop));
    saved.await.expect("saved");
    let report = world.report(task, 60).await;
    let medium = Medium::new();
    let made = commune.answer(export(None, &medium, None, false)).await;
    assert_eq!(made.exit, Exit::Partly);
    assert_eq!(made.data["withheld"][0]["id"], json!(id));
    province.take_bundles(&medium).await;
    assert!(province.holds(report).await && !province.holds(id).await);

    // An exporter that does not ask: the importer asks for itself, and keeps nothing of the content.
    let mut forged = Forged::of(commune, &[render_record(&secret)]).await;
    forged.header.number = 5;
    let by_hand = Medium::new();
    let folder = forged.write(&by_hand);
    let (outcome, item) = province.take_one(&folder).await;
    assert_eq!((outcome.as_str(), &item["set_aside"]), ("taken", &json!(1)));
    assert!(!province.holds(id).await);
    assert!(province.set_aside().await.is_empty());
    let store = fs::read(province.dir.path().join("store.db")).expect("the store");
    let log = fs::read(province.dir.path().join("store.db-wal")).unwrap_or_default();
    let needle = "Nội dung mật".as_bytes();
    for bytes in [store, log] {
        assert!(!bytes.windows(needle.len()).any(|part| part == needle));
    }
    let down = Medium::new();
    province.bundle(Some("24001"), &down).await;
    // And a bundle that announces such content is not opened at all.
    let mut forged = Forged::of(commune, &[render_record(&secret)]).await;
    (forged.header.number, forged.header.ceiling) = (6, Classification::Secret);
    let item = province.take_one(&forged.write(&by_hand)).await.1;
    assert_eq!(item["code"], "above_ceiling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ib8_an_exporter_that_never_hears_back_repeats_everything_and_says_so_unless_one_way() {
    let (world, task) = apart().await;
    let (commune, province) = (&world.commune, &world.province);
    let medium = Medium::new();
    let mut reports = Vec::new();
    for percent in [10, 20, 30] {
        let task = world.task().await;
        let facts = report_facts(commune.unit(), province.unit(), task);
        let written = values([("progress", progress(percent))]);
        reports.push(commune.create(commune.unit(), facts, written).await);
        let made = commune.bundle(None, &medium).await;
        assert_eq!(made["records"], reports.len(), "{made}");
    }
    assert!(!commune.has_problem("bundle_unanswered").await);
    commune.clock_ms.fetch_add(9 * 86_400_000, Ordering::SeqCst);
    assert!(commune.has_problem("bundle_unanswered").await);
    // Only the last of them arrives, and its receipt is enough.
    let last = medium.bundles().remove(2);
    let aside = province.take_one(&last).await.1;
    assert_eq!(aside["missing"], json!([1, 2]));
    let down = Medium::new();
    province.bundle(Some("24001"), &down).await;
    commune.take_bundles(&down).await;
    assert!(!commune.has_problem("bundle_unanswered").await);

    // Where nothing can come back, nothing is missed, and everything goes again and again.
    let out = Medium::new();
    world.report(task, 40).await;
    for _ in 0..2 {
        let made = commune.answer(export(None, &out, None, true)).await;
        assert!(made.data["records"].as_u64() >= Some(1), "{}", made.data);
    }
    commune
        .clock_ms
        .fetch_add(60 * 86_400_000, Ordering::SeqCst);
    assert!(!commune.has_problem("bundle_unanswered").await);
    out.lose(0);
    let taken = province.take_bundles(&out).await;
    assert_eq!(
        taken.data["items"][0]["missing"],
        json!([4]),
        "{}",
        taken.data
    );
    let report = report_facts(commune.unit(), province.unit(), task);
    let report = report.natural_id().expect("a key");
    assert_eq!(province.digest(report).await, commune.digest(report).await);
}
