//! The sealed backup of a node at its parent: what a lost disk had is back, and the parent cannot read any of it.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nqsync::link::transport::{Answering, Request, Transport};
use nqsync::link::upstream::deposit::Outcome;
use nqsync::node::sealed::keys;
use nqsync::trust::identity::NodeKey;
use nqsync::trust::vault;
use nqsync_core::model::Facts;
use reqwest::Client;
use serde_json::json;
use support::deposits::{
    OWN, Pair, SOON, bytes_of_evidence, deposited, done, files, is_anywhere, own_work, percent,
    problems, replacement, status, text,
};
use support::files::noise;
use support::machine::{Machine, Service, copy_tree, killed_at, until};
use support::world::World;

#[test]
fn e8_a_lost_disk_whose_backup_was_deposited_comes_back_with_drafts_and_files_that_were_never_sent()
{
    let pair = Pair::new(&[]);
    let (ministry, commune) = (&pair.ministry, &pair.commune);
    let add = ["task", "add", "--title", "Việc của bộ", "--lead", "24001"];
    let theirs = done(ministry, &add)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    done(commune, &["sync", "--wait"]);
    let sent = noise(1, 150_000);
    let path = commune.at("gui.bin");
    fs::write(&path, &sent).expect("room");
    done(
        commune,
        &[
            "report",
            "set",
            &theirs,
            "--status",
            "in_progress",
            "--percent",
            "40",
        ],
    );
    done(commune, &["evidence", "add", &theirs, &text(path.clone())]);
    fs::remove_file(path).expect("removed");
    let private = noise(2, 150_000);
    let own = own_work(commune, &private);
    done(commune, &["sync", "--wait"]);

    // Until one is deposited it is said what a lost disk costs.
    let before = status(commune)["backup"].clone();
    assert_eq!(before["deposited"], false);
    assert_eq!(before["only_here"], 3, "{before}");
    assert_eq!(before["files_only_here"], 1, "{before}");
    let refused = commune.run(&["backup", "deposit", "--json"]).expect(2);
    assert_eq!(refused.failure(), "deposit_no_key");
    assert!(!pair.deposits().exists());

    pair.make_key();
    let first = until("the first deposit, by itself", || {
        let now = status(commune)["backup"].clone();
        (now["deposited"] == true).then_some(now)
    });
    assert_eq!(first["younger"], 0, "{first}");
    let held = files(&pair.deposits());
    done(commune, &["report", "set", &own, "--percent", "70"]);
    assert_eq!(status(commune)["backup"]["younger"], 1);
    assert_eq!(deposited(commune)["younger"], 0);
    // Only what changed was sent, and what nothing needs is gone.
    let now = files(&pair.deposits());
    let stayed = now
        .iter()
        .filter(|(path, inode)| held.get(*path) == Some(*inode))
        .count();
    let gone = held.keys().filter(|path| !now.contains_key(*path)).count();
    assert!(
        stayed >= 3 && gone >= 1 && now.len() < held.len() + gone + 3,
        "{stayed} {gone}"
    );
    assert!(is_anywhere(commune.path(), OWN), "the search finds");
    for secret in [OWN, "24001", "PRIVATE KEY", "store.db"] {
        assert!(!is_anywhere(&pair.deposits(), secret), "{secret}");
    }

    // The disk is gone, and the key of the node with it.
    let lost = status(commune)["node"].as_str().expect("an id").to_owned();
    let key = pair.key();
    let Pair {
        ministry,
        above,
        commune,
        below,
        shelf,
    } = pair;
    below.kill();
    drop(commune);
    let again = replacement(&ministry, &lost);
    let fresh = status(&again)["node"].clone();
    let other = text(shelf.path().join("other"));
    done(&ministry, &["backup", "key", "new", "--out", &other]);
    let wrong = again.run(&["restore", "--from-parent", "--key", &other, "--json"]);
    assert_eq!(wrong.expect(12).failure(), "sealed_other_key");
    let back = done(&again, &["restore", "--from-parent", "--key", &key]);
    assert_eq!(back["from_node"], lost.as_str());
    assert_eq!(back["missing_files"], json!([]));
    let names = files(again.path());
    let left = |part: &str| {
        names
            .keys()
            .any(|path| path.to_string_lossy().contains(part))
    };
    assert!(!left("sealing-") && !left("fetched-deposit") && !left("restore.unfinished"));
    let early = again.run(&["report", "set", &own, "--percent", "71", "--json"]);
    assert_eq!(early.expect(2).failure(), "restored_waiting");

    let below = again.serve_with(SOON);
    done(&again, &["sync", "--wait"]);
    assert_eq!(status(&again)["node"], fresh, "under its own name");
    assert_eq!(percent(&again, &own), "70", "the draft is back");
    assert_eq!(
        bytes_of_evidence(&again, &own),
        private,
        "and so is its file"
    );
    assert_eq!(percent(&again, &theirs), "40");
    until("the file that the ministry had", || {
        (status(&again)["blobs"]["missing"] == 0).then_some(())
    });
    assert_eq!(bytes_of_evidence(&again, &theirs), sent);
    again.run(&["verify", "--local"]).expect(0);
    // It goes on: up, and with a deposit of its own.
    done(&again, &["report", "set", &theirs, "--percent", "80"]);
    done(&again, &["report", "set", &own, "--percent", "90"]);
    done(&again, &["sync", "--wait"]);
    assert_eq!(percent(&ministry, &theirs), "80");
    for machine in [&again, &ministry] {
        assert_eq!(done(machine, &["conflict", "list"])["items"], json!([]));
        assert_eq!(done(machine, &["quarantine", "list"])["items"], json!([]));
    }
    assert_eq!(deposited(&again)["younger"], 0);
    let found = problems(&again);
    assert_eq!(found, "[]");
    let theirs: Vec<_> = fs::read_dir(ministry.at("deposits"))
        .expect("deposits")
        .collect();
    assert_eq!(
        theirs.len(),
        2,
        "that of the lost node stays until somebody says otherwise"
    );
    done(
        &ministry,
        &["node", "drop-deposit", &lost, "--reason", "đã khôi phục"],
    );
    let theirs: Vec<_> = fs::read_dir(ministry.at("deposits"))
        .expect("deposits")
        .collect();
    assert_eq!(theirs.len(), 1);
    below.stop();
    above.stop();
}

#[test]
fn e8_a_deposit_that_is_killed_at_either_end_goes_on_and_the_one_before_counts_until_then() {
    let pair = Pair::new(&[]);
    let address = format!("listen.address={}", pair.ministry.address());
    pair.make_key();
    let counts = |pair: &Pair| {
        let names = files(&pair.deposits()).into_keys();
        let heads = names.filter(|path| path.to_string_lossy().contains("/head-"));
        heads
            .map(|path| fs::read(path).expect("a head"))
            .collect::<Vec<_>>()
    };
    until("the first deposit", || {
        (status(&pair.commune)["backup"]["deposited"] == true).then_some(())
    });
    let first = counts(&pair);
    assert_eq!(first.len(), 1);
    let own = own_work(&pair.commune, &noise(3, 1_500_000));
    let slow = [SOON, &["sync.bandwidth_bytes_per_s=300000"]].concat();
    let pair = pair.below_again(Service::stop, &slow);
    done(&pair.commune, &["backup", "deposit"]);
    let pieces = |pair: &Pair| files(&pair.deposits());
    let begun = pieces(&pair).len();
    let more_than = |least: usize| until("pieces", || (pieces(&pair).len() > least).then_some(()));
    more_than(begun + 4);
    let pair = pair.below_again(Service::kill, &slow);
    let at_kill = pieces(&pair);
    assert_eq!(counts(&pair), first, "the one before still counts");
    until("more pieces", || {
        (pieces(&pair).len() > at_kill.len() + 3).then_some(())
    });
    let pair = pair.above_again(Service::kill, &[&address]);
    assert_eq!(counts(&pair), first);
    until("the deposit", || {
        let now = status(&pair.commune)["backup"].clone();
        (now["younger"] == 0 && counts(&pair) != first).then_some(())
    });
    assert_eq!(counts(&pair).len(), 1);
    // What was there before the kills is part of it.
    let now = pieces(&pair);
    let stayed = at_kill
        .iter()
        .filter(|(path, inode)| now.get(*path) == Some(*inode));
    assert!(stayed.count() >= 4);

    let key = pair.key();
    let lost = status(&pair.commune)["node"]
        .as_str()
        .expect("an id")
        .to_owned();
    pair.below.kill();
    let again = replacement(&pair.ministry, &lost);
    done(&again, &["restore", "--from-parent", "--key", &key]);
    assert_eq!(percent(&again, &own), "35");
    assert_eq!(bytes_of_evidence(&again, &own), noise(3, 1_500_000));
}

#[test]
fn e8_a_changed_piece_at_the_parent_is_told_and_mended_by_the_next_deposit() {
    let pair = Pair::new(&[]);
    let address = format!("listen.address={}", pair.ministry.address());
    own_work(&pair.commune, b"rieng");
    pair.make_key();
    until("a deposit", || {
        (status(&pair.commune)["backup"]["deposited"] == true).then_some(())
    });
    let (key, deposits) = (pair.key(), pair.deposits());
    let Pair {
        ministry,
        above,
        commune,
        below,
        shelf,
    } = pair;
    below.stop();
    let all: Vec<PathBuf> = files(&deposits).into_keys().collect();
    let pieces: Vec<&PathBuf> = all
        .iter()
        .filter(|path| path.to_string_lossy().contains("/pieces/"))
        .collect();
    let change = |path: &Path| {
        let mut bytes = fs::read(path).expect("a piece");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("room");
    };
    let line = [
        "restore",
        "--from-parent",
        "--replace",
        "--key",
        &key,
        "--json",
    ];
    let mut told = 0;
    for path in &pieces {
        change(path);
        // What an earlier try fetched would be used.
        let _ = fs::remove_dir_all(commune.at("fetched-deposit"));
        let before = fs::read(commune.at("store.db")).expect("a store");
        let ran = commune.run(&line);
        match ran.code {
            4 => {
                assert_eq!(ran.failure(), "sealed_damaged");
                let after = fs::read(commune.at("store.db")).expect("a store");
                assert!(before == after, "nothing was changed");
                let names: Vec<_> = files(commune.path()).into_keys().collect();
                assert!(
                    !names
                        .iter()
                        .any(|path| path.to_string_lossy().contains("sealing-"))
                );
                told += 1;
            }
            // An attachment costs itself.
            _ => {
                let missing = ran.expect(3).json()["missing_files"].clone();
                assert_eq!(missing.as_array().map(Vec::len), Some(1));
            }
        }
        change(path);
    }
    assert!(
        told + 1 >= pieces.len() && told > 3,
        "{told} of {}",
        pieces.len()
    );

    // Found by looking through the disk, it is asked for again.
    change(pieces[0]);
    above.stop();
    let above = ministry.serve_with(&[&address, "store.scrub_interval_s=0.2"]);
    until("the piece goes", || (!pieces[0].exists()).then_some(()));
    let below = commune.serve_with(SOON);
    done(&commune, &["sync", "--wait"]);
    deposited(&commune);
    below.stop();
    done(&commune, &line[..5]);
    assert!(done(&commune, &["task", "list"]).to_string().contains(OWN));
    let _kept = (above, shelf);
}

#[test]
fn e8_a_kill_anywhere_on_the_way_back_leaves_the_empty_store_or_one_that_the_same_line_finishes() {
    let pair = Pair::new(&[]);
    own_work(&pair.commune, b"rieng");
    pair.make_key();
    until("a deposit", || {
        (status(&pair.commune)["backup"]["deposited"] == true).then_some(())
    });
    let lost = status(&pair.commune)["node"].clone();
    let key = pair.key();
    pair.below.kill();
    let again = replacement(&pair.ministry, lost.as_str().expect("an id"));
    let fresh = status(&again)["node"].clone();
    let kept = pair.shelf.path().join("kept");
    copy_tree(again.path(), &kept);
    let line = ["restore", "--from-parent", "--key", &key];
    let (mut cut, mut half) = (0, 0);
    for call in ["rename", "unlink"] {
        for number in 1.. {
            let Some(whole) = killed_at(&again, call, number, &line) else {
                eprintln!("strace cannot be used here: the kill at every call is left out");
                return;
            };
            if whole {
                break;
            }
            cut += 1;
            let asked = again.run(&["task", "list", "--json"]);
            if asked.code != 0 {
                assert_eq!(asked.failure(), "half_restored", "{call} {number}");
                half += 1;
            }
            if !asked.out.contains(OWN) {
                again.run(&line).expect(0);
            }
            assert!(
                done(&again, &["task", "list"]).to_string().contains(OWN),
                "{call} {number}"
            );
            assert_eq!(status(&again)["node"], fresh, "{call} {number}");
            assert_eq!(
                fs::read(again.at("keys/node.key")).ok(),
                fs::read(kept.join("keys/node.key")).ok()
            );
            fs::remove_dir_all(again.path()).expect("cleared");
            copy_tree(&kept, again.path());
        }
    }
    assert!(cut > 10 && half > 3, "{cut} cuts, {half} of them half-way");
}

#[test]
fn a_parent_that_allows_no_more_says_so_to_its_child_whose_records_go_on() {
    let pair = Pair::new(&["deposit.quota_bytes=5000"]);
    pair.make_key();
    let told = until("a refusal", || {
        let found = problems(&pair.commune);
        found.contains("deposit_refused").then_some(found)
    });
    assert!(
        told.contains("deposit.quota_bytes") && told.contains("5000"),
        "{told}"
    );
    let held = files(&pair.deposits())
        .into_keys()
        .map(|path| fs::metadata(path).expect("a piece").len());
    assert!(held.sum::<u64>() <= 5_000);
    let backup = status(&pair.commune)["backup"].clone();
    assert_eq!(
        (&backup["deposited"], &backup["trouble"]),
        (&false.into(), &"quota".into())
    );
    let add = ["task", "add", "--title", "Việc của bộ", "--lead", "24001"];
    let task = done(&pair.ministry, &add)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    done(&pair.commune, &["sync", "--wait"]);
    done(
        &pair.commune,
        &[
            "report",
            "set",
            &task,
            "--status",
            "in_progress",
            "--percent",
            "40",
        ],
    );
    done(&pair.commune, &["sync", "--wait"]);
    assert_eq!(percent(&pair.ministry, &task), "40");
}

#[test]
fn a_store_that_went_back_never_replaces_a_deposit_that_is_newer_than_it() {
    let pair = Pair::new(&[]);
    pair.make_key();
    let (commune, key) = (&pair.commune, pair.key());
    until("a deposit", || {
        (status(commune)["backup"]["deposited"] == true).then_some(())
    });
    let old = text(pair.shelf.path().join("old"));
    done(commune, &["backup", &old]);
    let own = own_work(commune, b"rieng");
    deposited(commune);
    let newest = files(&pair.deposits());
    let Pair {
        ministry,
        above,
        commune,
        below,
        shelf,
    } = pair;
    below.stop();
    done(&commune, &["restore", &old, "--replace", "--key", &key]);
    let below = commune.serve_with(SOON);
    done(&commune, &["sync", "--wait"]);
    done(&commune, &["backup", "deposit"]);
    until("the alarm", || {
        problems(&commune).contains("deposit_newer").then_some(())
    });
    assert_eq!(
        files(&ministry.at("deposits")),
        newest,
        "nothing was touched"
    );
    below.stop();
    // Only there it was.
    done(&commune, &["restore", "--from-parent", "--key", &key]);
    assert_eq!(percent(&commune, &own), "35");
    let below = commune.serve_with(SOON);
    done(&commune, &["sync", "--wait"]);
    deposited(&commune);
    assert!(!problems(&commune).contains("deposit_newer"));
    let _kept = (above, below, shelf);
}

#[test]
fn g1_a_deposit_is_given_back_to_nodes_of_its_unit_only_and_not_over_work_of_their_own() {
    let pair = Pair::new(&[]);
    pair.make_key();
    until("a deposit", || {
        (status(&pair.commune)["backup"]["deposited"] == true).then_some(())
    });
    let (key, lost) = (pair.key(), status(&pair.commune)["node"].clone());
    let lost = lost.as_str().expect("an id");
    let alone = Machine::ministry("BO");
    let refused = alone.run(&["restore", "--from-parent", "--key", &key, "--json"]);
    assert_eq!(refused.expect(2).failure(), "comeback_not_enrolled");
    let other = Machine::child(&pair.ministry, "24002", "commune");
    for more in [&[][..], &["--of", lost]] {
        let line = [
            &["restore", "--from-parent", "--key", &key, "--json"][..],
            more,
        ]
        .concat();
        assert_eq!(other.run(&line).expect(2).failure(), "comeback_none");
    }
    let again = replacement(&pair.ministry, lost);
    done(
        &again,
        &["task", "add", "--title", "Việc mới", "--lead", "24001"],
    );
    let refused = again.run(&["restore", "--from-parent", "--key", &key, "--json"]);
    assert_eq!(refused.expect(2).failure(), "comeback_unsent");
    let back = done(
        &again,
        &["restore", "--from-parent", "--key", &key, "--replace"],
    );
    let aside = Path::new(back["aside"].as_str().expect("a folder")).to_owned();
    assert!(is_anywhere(&aside, "Việc mới"), "it is kept");
}

/// Counts the bytes of pieces that go up, and breaks after some requests.
struct Counted {
    client: Client,
    bytes: Arc<AtomicU64>,
    left: Arc<AtomicU64>,
}

impl Transport for Counted {
    fn send(&self, request: Request) -> Answering<'_> {
        if request.url.ends_with("/deposit/pieces") {
            let left = self.left.load(Ordering::SeqCst);
            if left == 0 {
                return Box::pin(async { Err("the line broke".into()) });
            }
            self.left.store(left - 1, Ordering::SeqCst);
            self.bytes
                .fetch_add(request.body.len() as u64, Ordering::SeqCst);
        }
        self.client.send(request)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_changed_is_sent_and_what_passed_before_a_cut_is_not_sent_again() {
    let mut world = World::new().await;
    let (url, key) = (
        world.province.url().await,
        NodeKey::generate().expect("a key"),
    );
    let public = vault::public_part(&key);
    let store = world.commune.node.store.clone();
    let set = store.write(move |tx| keys::set(tx, &public)).await;
    assert!(set.expect("written"));
    let task = world.task().await;
    world.settle().await;
    let report = world.report(task, 10).await;
    let unit = world.commune.unit();
    let own = Facts::Evidence {
        unit,
        issuer: unit,
        task,
        period: "2026-03".into(),
        reviewer: unit,
    };
    world.commune.add_file(unit, own, &noise(4, 400_000)).await;
    let (bytes, left) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(2)));
    let counted = |client| Counted {
        client,
        bytes: bytes.clone(),
        left: left.clone(),
    };
    world.commune.connect_over(&url, counted).await;
    world.commune.sync().await;
    let upstream = world.commune.upstream.clone().expect("a way up");
    let mut sent = Vec::new();
    let mut total = 0;
    let now = |total: &mut u64| {
        let all = bytes.load(Ordering::SeqCst);
        let new = all - *total;
        *total = all;
        new
    };
    // Cut after two requests, then whole.
    assert!(upstream.deposit().await.is_err());
    sent.push(now(&mut total));
    left.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(upstream.deposit().await.expect("a line"), Outcome::Complete);
    sent.push(now(&mut total));
    let whole: u64 = files(&world.province.dir.path().join("deposits"))
        .into_keys()
        .filter(|path| path.to_string_lossy().contains("/pieces/"))
        .map(|path| fs::metadata(path).expect("a piece").len())
        .sum();
    assert!(sent[0] > 0 && sent[1] > 0, "{sent:?}");
    // The list of files is sealed again, and a page or two tell that there was a try.
    assert!(sent[0] + sent[1] < whole + whole / 2, "{sent:?} of {whole}");

    let value = [("result", json!("một dòng"))];
    world
        .commune
        .set(report, unit, value, None)
        .await
        .expect("set");
    world.commune.sync().await;
    assert_eq!(upstream.deposit().await.expect("a line"), Outcome::Complete);
    let changed = now(&mut total);
    assert!(changed > 0 && changed < whole / 2, "{changed} of {whole}");
}
