//! Neighbours of the version before, 0.1.0. Everybody speaks protocol 1; what came later is optional in it, and an older
//! one neither says nor understands it.
//!
//! `NQSYNC_OLD` names a program of that version: then real services of both are put together.

mod support;

use axum::http;
use nqsync::api::{Command, RollupBy, TaskFields};
use nqsync::link::transport::{Answering, Request, Transport};
use nqsync::link::upstream::deposit::Outcome;
use nqsync::node::deposit;
use nqsync::node::sealed::keys;
use nqsync::trust::identity::NodeKey;
use nqsync::trust::vault;
use nqsync_core::model::Facts;
use nqsync_core::protocol::{HEAD_HEADER, LENGTH_HEADER, SESSION_HEADER, render_record};
use nqsync_core::rollup::{GroupRollup, RULES};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use support::Place;
use support::files::noise;
use support::machine::Machine;
use support::values;
use support::world::{World, progress};
use uuid::Uuid;

/// Takes away what 0.1.0 did not know: from what a child says, and from what a parent answers. So the parent behind it has
/// an old child, and the child before it an old parent.
struct Before(Client);

fn without(body: &[u8], fields: &[&str]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).expect("JSON");
    for field in fields {
        value.as_object_mut().expect("an object").remove(*field);
    }
    serde_json::to_vec(&value).expect("JSON")
}

impl Transport for Before {
    fn send(&self, mut request: Request) -> Answering<'_> {
        let opens = request.url.ends_with("/open");
        let asks = request.method == reqwest::Method::GET;
        request.headers.retain(|(name, _)| {
            *name != SESSION_HEADER && *name != HEAD_HEADER && !(asks && *name == LENGTH_HEADER)
        });
        if opens {
            request.body = without(&request.body, &["echo"]);
        }
        if request.url.ends_with("/compare") || request.url.contains("/deposit/") {
            let unknown = http::Response::builder().status(404).body("");
            return Box::pin(async { Ok(Response::from(unknown?)) });
        }
        let sent = self.0.send(request);
        Box::pin(async move {
            let answer = sent.await?;
            if !opens || !answer.status().is_success() {
                return Ok(answer);
            }
            let welcome = without(&answer.bytes().await?, &["session", "wanted"]);
            Ok(Response::from(http::Response::new(welcome)))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_an_old_child_and_a_new_parent_and_the_reverse_do_everything_that_both_know() {
    let mut world = World::new().await;
    let url = world.province.url().await;
    world.commune.connect_over(&url, Before).await;
    world.commune.sync().await;
    let (commune, province) = (&world.commune, &world.province);
    let (unit, issuer) = (commune.unit(), province.unit());

    // Down and up, with files both ways.
    let task = world.task().await;
    let order = noise(1, 400_000);
    let (_, file_down) = province
        .add_file(issuer, Facts::Directive { issuer }, &order)
        .await;
    commune.sync().await;
    assert_eq!(commune.digest(task).await, province.digest(task).await);
    assert_eq!(commune.file(file_down).await, Some(order));
    let report = world.report(task, 40).await;
    let facts = Facts::Evidence {
        unit,
        issuer,
        task,
        period: "2026-03".into(),
        reviewer: issuer,
    };
    let paper = noise(2, 400_000);
    let (_, file_up) = commune.add_file(unit, facts, &paper).await;
    assert_eq!(commune.sync().await.agrees, Some(true));
    assert_eq!(province.file(file_up).await, Some(paper));

    // Two edits at once are kept on both sides, and resolved on both.
    let pairs = [("progress", progress(60))];
    province.set(report, unit, pairs, None).await.expect("set");
    let pairs = [("progress", progress(70))];
    commune.set(report, unit, pairs, None).await.expect("set");
    commune.sync().await;
    for place in [commune, province] {
        let stored = place.stored(report).await;
        assert_eq!(stored.record.conflicts(), ["progress"]);
    }
    let pairs = [("progress", progress(75))];
    commune.set(report, unit, pairs, None).await.expect("set");
    assert_eq!(commune.sync().await.agrees, Some(true));
    assert_eq!(commune.digest(report).await, province.digest(report).await);
    assert!(province.stored(report).await.record.conflicts().is_empty());

    // A disk that went back gets its lost writes from the other side.
    world.commune.shut().await;
    let copy = world.commune.copy();
    world.commune.start().await;
    world.commune.connect_over(&url, Before).await;
    let pairs = [("result", json!("sau bản sao"))];
    let unit = world.commune.unit();
    world
        .commune
        .set(report, unit, pairs, None)
        .await
        .expect("set");
    world.commune.sync().await;
    let known = world.province.digest(report).await;
    world.commune.shut().await;
    world.commune.put_back(&copy);
    world.commune.start().await;
    world.commune.connect_over(&url, Before).await;
    world.commune.sync().await;
    assert_eq!(world.commune.digest(report).await, known, "it came back");
    assert!(
        world.province.link_to(&world.commune).await.forks > 0,
        "and is told"
    );
    assert_eq!(world.commune.sync().await.agrees, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_parent_that_keeps_no_backups_yet_is_told_as_such_and_stops_nothing() {
    let mut world = World::new().await;
    let url = world.province.url().await;
    world.commune.connect_over(&url, Before).await;
    let key = NodeKey::generate().expect("a key");
    let public = vault::public_part(&key);
    let store = world.commune.node.store.clone();
    let set = store.write(move |tx| keys::set(tx, &public)).await;
    assert!(set.expect("written"));
    let upstream = world.commune.upstream.as_ref().expect("a way up");
    let Ok(Outcome::Not(code, message)) = upstream.deposit().await else {
        panic!("nobody there keeps it");
    };
    assert_eq!(code, "unsupported");
    let noted = deposit::note_trouble(&world.commune.node, &code, message).await;
    noted.expect("written");
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    let status = world.commune.data(Command::Status).await;
    assert_eq!(status["backup"]["trouble"], "unsupported");
    assert_eq!(status["backup"]["deposited"], false);
    assert!(
        !status["problems"].to_string().contains("deposit"),
        "{status}"
    );

    // When the parent is upgraded it begins.
    world.commune.find(&world.province).await;
    let upstream = world.commune.upstream.as_ref().expect("a way up");
    assert_eq!(upstream.deposit().await.expect("kept"), Outcome::Complete);
}

/// The month in which the nodes of a test begin, and the one 200 days later.
const MARCH: &str = "2026-03";
const OCTOBER: &str = "2026-10";

/// A rollup of three tasks with all reports in, as rules of this version make it.
fn counted(version: u32) -> Value {
    let mut rollup = GroupRollup::empty(jiff::civil::date(2026, 3, 22));
    rollup.tasks.total = 3;
    rollup.tasks.by_status.insert("in_progress".into(), 3);
    rollup.coverage.complete = true;
    rollup.version = version;
    let mut value = serde_json::to_value(rollup).expect("JSON");
    if version > RULES {
        value["weighed"] = json!({ "3": [0.5, "mới"] });
    }
    value
}

/// A node publishes a rollup of its own unit.
async fn publish(place: &Place, period: &str, rollup: Value) -> Uuid {
    let facts = Facts::Rollup {
        issuer: place.unit(),
        period: period.into(),
        group: "II".into(),
    };
    let values = values([("rollup", rollup)]);
    place.create(place.unit(), facts, values).await
}

async fn rollup_at(place: &Place, period: &str) -> Value {
    let show = Command::RollupShow {
        period: Some(period.into()),
        unit: None,
        by: RollupBy::Group,
        recompute: true,
        version: None,
    };
    place.data(show).await
}

fn issuer<'a>(shown: &'a Value, code: &str) -> Option<&'a Value> {
    let all = shown["issuers"].as_array().expect("a list");
    all.iter().find(|item| item["issuer"] == code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_a_rollup_of_an_unknown_version_is_kept_as_it_is_and_told_as_not_counted() {
    let world = World::new().await;
    let (commune, other) = (&world.commune, &world.other);
    publish(commune, MARCH, counted(RULES)).await;
    world.settle().await;
    let above = [&world.province, &world.ministry];
    for place in above {
        let shown = rollup_at(place, MARCH).await;
        assert_eq!(shown["tasks"]["total"], 3);
        assert_eq!(shown["coverage"]["complete"], true, "{shown:#}");
        assert_eq!(shown["not_counted"], json!([]));
    }

    // Its numbers have the form we know: only the version says that they mean something else.
    let newer = publish(other, MARCH, counted(RULES + 1)).await;
    world.settle().await;
    let authored = render_record(&other.stored(newer).await.record);
    assert!(authored.contains("weighed"));
    for place in above {
        let kept = render_record(&place.stored(newer).await.record);
        assert_eq!(kept, authored, "byte for byte");
        let shown = rollup_at(place, MARCH).await;
        assert_eq!(shown["tasks"]["total"], 3, "{shown:#}");
        assert_eq!(shown["coverage"]["complete"], false);
        let left = json!([{ "issuer": "24002", "name": "Đơn vị 24002", "level": "commune", "group": "II",
            "reason": "unknown_version", "version": RULES + 1 }]);
        assert_eq!(shown["not_counted"], left);
        let whole = issuer(&shown, "24001").expect("counted");
        assert_eq!(
            whole["coverage"]["complete"], true,
            "the neighbour is whole"
        );
        assert!(issuer(&shown, "24002").is_none(), "no number of it is told");
    }

    // What says a known version and is something else is told as well.
    publish(other, MARCH, json!({ "version": RULES, "tasks": "3" })).await;
    world.settle().await;
    for place in above {
        let shown = rollup_at(place, MARCH).await;
        assert_eq!(shown["not_counted"][0]["reason"], "unreadable");
        assert_eq!(shown["not_counted"][0]["version"], Value::Null);
        assert_eq!(shown["coverage"]["complete"], false);
    }
    publish(other, MARCH, counted(RULES)).await;
    world.settle().await;
    for place in above {
        let shown = rollup_at(place, MARCH).await;
        assert_eq!(shown["tasks"]["total"], 6);
        assert_eq!(shown["coverage"]["complete"], true);
        assert_eq!(shown["not_counted"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_half_a_province_upgraded_while_there_was_no_line_agrees_again_and_mixes_no_rules() {
    let world = World::new().await;
    let (commune, other, province) = (&world.commune, &world.other, &world.province);
    let task = world.task().await;
    world.settle().await;

    // Two hundred days without a line. One commune stays as it is, the other takes the next version.
    for place in [commune, other, province, &world.ministry] {
        let days = 200 * 24 * 3_600_000;
        place.clock_ms.fetch_add(days, Ordering::SeqCst);
    }
    let report = world.report(task, 40).await;
    let fields = TaskFields {
        title: Some("Việc của xã".into()),
        lead: Some(vec!["24001".into()]),
        ..TaskFields::default()
    };
    let own = commune.data(Command::TaskAdd { fields }).await;
    let own = own["id"].as_str().expect("an id").parse().expect("an id");
    commune.recompute().await;
    let newer_task = world.task_of(other, other.unit(), &[]).await;
    let newer = publish(other, OCTOBER, counted(RULES + 1)).await;
    let pairs = [("title", json!("Đổi trong lúc mất kết nối"))];
    let set = province.set(task, province.unit(), pairs, None).await;
    set.expect("set");

    world.settle().await;
    for child in [commune, other, province] {
        assert_eq!(child.sync().await.agrees, Some(true));
    }
    for record in [task, report] {
        assert_eq!(commune.digest(record).await, province.digest(record).await);
    }
    assert!(!province.holds(own).await && !province.holds(newer_task).await);
    for place in [province, &world.ministry] {
        assert_eq!(place.digest(newer).await, other.digest(newer).await);
        let shown = rollup_at(place, OCTOBER).await;
        let counted = issuer(&shown, "24001").expect("the old one is counted");
        assert_eq!(counted["tasks"]["total"], 1);
        assert!(issuer(&shown, "24002").is_none());
        assert_eq!(shown["not_counted"][0]["issuer"], "24002");
        assert_eq!(shown["recomputed"]["same"], true, "{shown:#}");
        assert_eq!(shown["coverage"]["complete"], false);
    }
    // Every rollup says by which rules it was made.
    let facts = Facts::Rollup {
        issuer: commune.unit(),
        period: OCTOBER.into(),
        group: String::new(),
    };
    let made = province.stored(facts.natural_id().expect("natural")).await;
    let value = made.record.shown("rollup").expect("a value");
    assert_eq!(value["version"], RULES);
}

/// A program of 0.1.0 above and this one below, and the reverse.
#[test]
fn real_services_of_both_versions_work_together() {
    let Some(old) = std::env::var_os("NQSYNC_OLD") else {
        println!("not run: NQSYNC_OLD names no program of the version before, as .ci/proof does");
        return;
    };
    for old_above in [true, false] {
        let (mut ministry, mut commune) = (Machine::new(), Machine::new());
        let older = if old_above {
            &mut ministry
        } else {
            &mut commune
        };
        older.program = Some(old.clone().into());
        let init = [
            "init", "--unit", "BO", "--level", "ministry", "--name", "Bộ",
        ];
        let listen = ["--listen", "127.0.0.1:0"];
        ministry.run(&[&init[..], &listen].concat()).expect(0);
        let above = ministry.serve();
        let unit = ["unit", "add", "24001", "Xã", "--level", "commune"];
        ministry.run(&unit).expect(0);
        commune
            .run(&["init", "--unit", "24001", "--level", "commune"])
            .expect(0);
        // The tokens of 0.1.0 name no address.
        let token = ministry
            .run(&["node", "token", "24001", "--json"])
            .expect(0);
        let token = token.json()["token"].as_str().expect("a token").to_owned();
        let url = format!("https://{}", ministry.address());
        let enrol = ["enrol", "--upstream", &url, "--token", &token];
        commune.run(&enrol).expect(0);
        let task = [
            "task", "add", "--title", "Việc", "--lead", "24001", "--json",
        ];
        let task = ministry.run(&task).expect(0).json()["id"].clone();
        let task = task.as_str().expect("an id");
        let below = commune.serve();
        commune.run(&["sync", "--wait"]).expect(0);
        std::fs::write(commune.at("paper"), noise(3, 500_000)).expect("room");
        let paper = commune.at("paper");
        let add = ["evidence", "add", task, paper.to_str().expect("text")];
        commune.run(&add).expect(0);
        let report = ["report", "set", task, "--status", "completed", "--percent"];
        commune
            .run(&[&report[..], &["100", "--submit"]].concat())
            .expect(0);
        let synced = commune.run(&["sync", "--wait", "--json"]).expect(0).json();
        assert_eq!(synced["agree"], true, "old above: {old_above}");
        let accept = ["evidence", "accept", task, "--unit", "24001"];
        ministry.run(&accept).expect(0);
        commune.run(&["sync", "--wait"]).expect(0);
        let shown = ["report", "show", task, "--unit", "24001", "--json"];
        let shown = [&commune, &ministry].map(|machine| machine.run(&shown).expect(0).json());
        for shown in &shown {
            // 0.1.0 says how it was reported, this version also what that is beside the deadline.
            let status = shown["status"].as_str();
            assert!(
                matches!(status, Some("completed" | "completed_on_time")),
                "old above: {old_above}: {shown}"
            );
        }
        let list = ministry
            .run(&["evidence", "list", "--json"])
            .expect(0)
            .json();
        assert_eq!(list["items"][0]["state"], "present");
        below.stop();
        above.stop();
    }
}
