//! Hand-made requests with real certificates: what a child could try, and what it learns from the answers.

#[path = "link_hostile/probes.rs"]
mod probes;
mod support;

use nqsync::api::Command;
use nqsync::store::nodes;
use nqsync::store::{StoreError, records};
use nqsync::trust::authority::{Authority, NODE_LIFETIME};
use nqsync::trust::identity::NodeKey;
use nqsync_core::model::{Facts, Kind};
use nqsync_core::protocol::{
    MAX_BATCH_LINES, OFFSET_HEADER, PROTOCOL, Versions, render_brought, render_record,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::files::{named, noise};
use support::promises;
use support::raw::{Raw, answer, authored, client, line, pack};
use support::values;
use support::world::{World, progress, report_facts};
use uuid::Uuid;

/// Everything the province holds, as bytes.
async fn held(world: &World) -> Vec<String> {
    let read = world.province.node.store.read(|c| {
        let page = records::page(c, records::Rec(0), 10_000)?;
        Ok::<_, StoreError>(page.iter().map(|s| render_record(&s.record)).collect())
    });
    read.await.expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_record_changes_nothing() -> Result<(), String> {
    promises::a_forged_record_changes_nothing().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_what_a_commune_brings_as_lost_work_of_others_is_believed_only_under_their_seal() {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let task = world.task().await;
    let genuine = province.stored(task).await.record;
    assert!(genuine.edits().iter().all(|edit| edit.is_sealed()));
    let before = held(&world).await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let mut forged = genuine.clone();
    let author = |seal| nqsync_core::sync::Author {
        incarnation: nqsync_core::sync::Incarnation([9; 16]),
        unit: province.unit(),
        name: "by hand",
        seal,
    };
    let moved = || values([("lead", support::world::units("24002", &[other.unit()]))]);
    let own_key = nqsync_core::sync::SealKey::new([9; 32]);
    forged
        .write(author(Some(own_key)), support::START_MS, moved(), None)
        .expect("writable");
    let issued = Facts::Task {
        issuer: province.unit(),
        parent: None,
    };
    let new = line(1, issued, province.unit(), moved());
    // Another text under the names of its own writes, and under that of one that is in another register there.
    let changed = render_record(&genuine).replace("Số hoá", "Đừng làm");
    let elsewhere = render_record(&genuine).replace(r#""lead":{"v""#, r#""kpi":{"v""#);
    let facts = render_record(&genuine).replace(r#""f":{"#, r#""f":{"classification":"secret","#);
    for lie in [render_record(&forged), new, changed, elsewhere, facts] {
        assert!(raw.push_one(lie.clone()).await.is_some(), "{lie}");
        let code = raw.push_one(render_brought(&lie)).await;
        // What states a level is refused by its name, before anybody asks whose it is.
        let reason = match lie.contains("classification") {
            true => "above_ceiling",
            false => "not_theirs",
        };
        assert_eq!(code.as_deref(), Some(reason), "{lie}");
    }
    assert_eq!(held(&world).await, before);
    let code = raw.push_one(render_brought(&render_record(&genuine))).await;
    assert_eq!(code, None, "what it wrote itself and still holds");
    assert_eq!(held(&world).await, before);
}

/// Ids of reviews and decisions do not name who gives them, so whoever came first with one would keep the right one out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_commune_closes_nobodys_period_and_answers_nobodys_proposal() {
    let world = World::new().await;
    let (ministry, province, commune, other) = (
        &world.ministry,
        &world.province,
        &world.commune,
        &world.other,
    );
    let both = world
        .task_of(province, commune.unit(), &[other.unit()])
        .await;
    world.settle().await;
    let mine = commune.unit();
    let mut raw = Raw::of(commune).await;
    raw.open().await;
    let mut number = 0;
    let mut lie = |facts, pairs: [(&str, serde_json::Value); 1]| {
        number += 1;
        line(number, facts, mine, values(pairs))
    };
    let locked = || {
        [(
            "state",
            json!({ "state": "locked", "reason": "x", "at": 1 }),
        )]
    };
    for unit in [other.unit(), province.unit(), ministry.unit()] {
        let review = Facts::Period {
            unit,
            reviewer: mine,
            period: "2026-03".to_owned(),
            stage: nqsync_core::model::PeriodStage::Review,
        };
        let code = raw.push_one(lie(review, locked())).await;
        assert_eq!(code.as_deref(), Some("not_above"), "{unit}");
    }
    let evidence = Facts::Evidence {
        unit: mine,
        issuer: province.unit(),
        task: both,
        period: "2026-03".to_owned(),
        reviewer: other.unit(),
    };
    let file = json!({ "name": "a.pdf", "sha256": "00".repeat(32), "size": 1 });
    let code = raw.push_one(lie(evidence, [("file", file)])).await;
    assert_eq!(code.as_deref(), Some("not_above"));

    // Nor does it give work to others, wish anything of a neighbour, or say what concerns only two who stand beside each other.
    let period = || "2026-03".to_owned();
    for unit in [other.unit(), province.unit(), ministry.unit()] {
        let task = Facts::Task {
            issuer: mine,
            parent: None,
        };
        let lead = json!({ "text": "x", "units": [unit] });
        let code = raw.push_one(lie(task, [("lead", lead)])).await;
        assert_eq!(code.as_deref(), Some("not_below"), "{unit}");
    }
    // An address that was made up carries nothing upwards, and a unit of its own that another node would serve nothing aside.
    let nobody = Facts::Task {
        issuer: mine,
        parent: None,
    };
    let lead = json!({ "text": "x", "units": [support::world::nobody()] });
    let code = raw.push_one(lie(nobody, [("lead", lead)])).await;
    assert_eq!(code.as_deref(), Some("out_of_scope"));
    for place in [other, ministry] {
        let served = json!(place.node.store.shown().node);
        let given = [("parent", json!([{ "unit": mine }])), ("served_by", served)];
        let unit = Facts::Unit { owner: mine };
        let code = raw.push_one(line(99, unit, mine, values(given))).await;
        assert_eq!(code.as_deref(), Some("foreign_place"));
    }
    let wish = json!({ "value": "x", "open": true });
    let asked = Facts::Proposal {
        proposer: mine,
        owner: other.unit(),
        target_kind: Kind::Task,
        target: both,
        register: "deadline".to_owned(),
    };
    let report = Facts::Report {
        unit: other.unit(),
        issuer: province.unit(),
        task: both,
        period: period(),
    };
    let report = report.natural_id().expect("an id that can be guessed");
    let verdict = Facts::Verdict {
        reviewer: mine,
        unit: other.unit(),
        issuer: mine,
        report,
        submission: "x".to_owned(),
    };
    let figure = Facts::Figure {
        unit: mine,
        definer: other.unit(),
        indicator: both,
        period: period(),
    };
    for (facts, register, value) in [
        (asked, "wish", wish),
        (
            verdict,
            "verdict",
            json!({ "accepted": false, "reason": "x" }),
        ),
        (figure, "value", json!({ "value": "1" })),
    ] {
        let kind = facts.kind();
        let code = raw.push_one(lie(facts, [(register, value)])).await;
        assert_eq!(code.as_deref(), Some("beside"), "{kind}");
    }

    // The neighbour will propose another deadline; the answer to that is not the commune's, before and after.
    let proposal = Facts::Proposal {
        proposer: other.unit(),
        owner: province.unit(),
        target_kind: Kind::Task,
        target: both,
        register: "deadline".to_owned(),
    };
    let answered = || Facts::Decision {
        decider: mine,
        proposer: province.unit(),
        proposal: proposal.natural_id().expect("an id of its own"),
    };
    let no = || [("decision", json!({ "accepted": false, "reason": "x" }))];
    assert_eq!(
        raw.push_one(lie(answered(), no())).await.as_deref(),
        Some("not_asked")
    );
    let propose = Command::ProposalMake {
        task: both.to_string(),
        field: "deadline".to_owned(),
        value: "31/12/2026".to_owned(),
        reason: "mưa lũ".to_owned(),
    };
    let made = other.data(propose).await;
    other.sync().await;
    assert_eq!(
        raw.push_one(lie(answered(), no())).await.as_deref(),
        Some("not_asked")
    );
    let decide = Command::ProposalDecide {
        proposal: made["id"].as_str().expect("an id").to_owned(),
        accept: true,
        reason: None,
        token: None,
    };
    province.answer(decide).await;
    // And the neighbour's period is as open as ever.
    let list = Command::PeriodList {
        unit: None,
        period: Some("2026-03".to_owned()),
    };
    let periods = province.data(list).await;
    let states = periods["items"].as_array().expect("units").iter();
    assert!(
        states.into_iter().all(|unit| unit["state"] == "open"),
        "{periods}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g2_whatever_a_commune_writes_of_others_is_set_aside_and_changes_nothing() {
    let world = World::new().await;
    let (province, commune, other) = (&world.province, &world.commune, &world.other);
    let task = world.task().await;
    commune.sync().await;
    let report = world.report(task, 40).await;
    commune.sync().await;
    let (mine, theirs, above) = (other.unit(), commune.unit(), province.unit());
    let of_theirs = report_facts(theirs, above, task);
    let values = || values([("progress", progress(99))]);
    let before = held(&world).await;
    let mut raw = Raw::of(other).await;
    raw.open().await;

    // A record of another commune, new and existing.
    let unknown = report_facts(theirs, above, Uuid::from_u128(1));
    let new = raw.push_one(line(1, unknown, theirs, values())).await;
    let existing = raw
        .push_one(line(2, of_theirs.clone(), theirs, values()))
        .await;
    assert_eq!(new.as_deref(), Some("out_of_scope"));
    assert_eq!(new, existing, "the answer does not tell whether it exists");
    // The same id with other facts: existing and not.
    let other_facts = |task| Facts::Report {
        unit: theirs,
        issuer: mine,
        task,
        period: "2026-03".into(),
    };
    let new = raw
        .push_one(line(3, other_facts(Uuid::from_u128(1)), theirs, values()))
        .await;
    let existing = raw
        .push_one(line(4, other_facts(task), theirs, values()))
        .await;
    assert_eq!(new.as_deref(), Some("not_theirs"));
    assert_eq!(new, existing, "nor do made-up facts");
    // An edit in its own name, or anybody's, in a record of another.
    let forged = raw
        .push_one(line(5, of_theirs.clone(), mine, values()))
        .await;
    assert_eq!(forged.as_deref(), Some("not_the_owner"));
    // Its own report under an id that does not follow from it.
    let own = render_record(&authored(
        6,
        report_facts(mine, above, task),
        mine,
        values(),
    ));
    let id = report_facts(mine, above, task).natural_id().expect("a key");
    let moved = own.replace(&id.to_string(), &report.to_string());
    assert_eq!(raw.push_one(moved).await.as_deref(), Some("facts"));
    // Its own report for a task it was never given, and one whose ends are all below.
    assert_eq!(raw.push_one(own).await.as_deref(), Some("not_assigned"));
    let inside = line(7, report_facts(mine, mine, task), mine, values());
    assert_eq!(raw.push_one(inside).await.as_deref(), Some("out_of_scope"));
    // A unit of its own under somebody else, or under nobody.
    for (number, place) in [
        (8, json!([{ "unit": above }])),
        (9, json!([{ "unit": null }])),
    ] {
        let unit = support::values([("code", json!("X")), ("parent", place)]);
        let unit = line(number, Facts::Unit { owner: mine }, mine, unit);
        assert_eq!(raw.push_one(unit).await.as_deref(), Some("foreign_place"));
    }
    // Its own place in the tree.
    let key = province.stored(mine.0).await.record;
    let mut placed = key.clone();
    let author = nqsync_core::sync::Author {
        incarnation: nqsync_core::sync::Incarnation([8; 16]),
        unit: above,
        name: "by hand",
        seal: None,
    };
    let at_top = support::values([("parent", json!([{ "unit": null }]))]);
    placed
        .write(author, support::START_MS, at_top, None)
        .expect("writable");
    let code = raw.push_one(render_record(&placed)).await;
    assert_eq!(code.as_deref(), Some("not_theirs"));
    // When its own submission arrived.
    let arrival = Facts::Arrival {
        unit: mine,
        issuer: above,
        report: Uuid::from_u128(3),
        submission: "00".repeat(16),
    };
    let received = support::values([("received", json!({ "at": 0, "sender_ahead_ms": 0 }))]);
    let code = raw.push_one(line(10, arrival, mine, received)).await;
    assert_eq!(code.as_deref(), Some("not_the_owner"));

    assert_eq!(
        held(&world).await,
        before,
        "nothing changed at the province"
    );
    assert!(province.set_aside().await.iter().all(|item| item.incoming));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commune_reads_nothing_of_another() {
    let world = World::new().await;
    let (province, commune, other) = (&world.province, &world.commune, &world.other);
    let task = world.task().await;
    commune.sync().await;
    // Another commune works a lot.
    let bytes = noise(1, 10_000);
    let evidence = Facts::Evidence {
        unit: commune.unit(),
        issuer: province.unit(),
        task,
        period: "2026-03".into(),
        reviewer: province.unit(),
    };
    let (_, file) = commune.add_file(commune.unit(), evidence, &bytes).await;
    for percent in 1..20 {
        world.report(task, percent).await;
        commune.sync().await;
    }
    assert!(province.file(file).await.is_some());

    let mut raw = Raw::of(other).await;
    let welcome = raw.open().await;
    assert_eq!(welcome.up.batch, other.link_to(province).await.up.batch);
    assert_eq!(welcome.down.batch, other.link_to(province).await.down.batch);
    let lines = raw.pull().await;
    assert!(lines.is_empty(), "{lines:?}");
    let ours = json!({ "count": 0, "sum": "", "pending": false });
    let (_, agreement) = raw.post("agree", ours.to_string()).await;
    let units = other.count(Kind::Unit).await;
    assert_eq!(
        agreement["count"], units,
        "it counts only what is this link's"
    );

    // Files: one that exists and one that does not are told from each other by nothing.
    let unheard = [7; 32];
    for name in [file, unheard] {
        let endpoint = format!("blob/{}", nqsync::store::blobs::hex(&name));
        for method in [Method::GET, Method::HEAD, Method::PATCH] {
            let request = raw
                .request(method.clone(), &endpoint)
                .header(OFFSET_HEADER, 0);
            let (status, _) = answer(request.body("x")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method}");
        }
    }
    // Claiming the file with a record of its own: it has to bring every byte, and spoils nobody's.
    let own = world.task_of(province, other.unit(), &[]).await;
    let claimed = |number, size| {
        let facts = Facts::Evidence {
            unit: other.unit(),
            issuer: province.unit(),
            task: own,
            period: "2026-03".into(),
            reviewer: province.unit(),
        };
        line(
            number,
            facts,
            other.unit(),
            values([("file", named(&file, size))]),
        )
    };
    assert_eq!(raw.push_one(claimed(1, 3)).await, None);
    let endpoint = format!("blob/{}", nqsync::store::blobs::hex(&file));
    let head = raw
        .request(Method::HEAD, &endpoint)
        .send()
        .await
        .expect("sent");
    assert_eq!(head.headers()[OFFSET_HEADER], "0");
    let request = raw
        .request(Method::PATCH, &endpoint)
        .header(OFFSET_HEADER, 0);
    let (status, refused) = answer(request.body("abc")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let request = raw
        .request(Method::PATCH, &endpoint)
        .header(OFFSET_HEADER, 0);
    let (status, refused) = answer(request.body("abcd")).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{refused}");
    let kept = province.file(file).await;
    assert!(kept == Some(bytes), "the other's file is as it was");
    let huge = claimed(2, 1 << 50).replace(&nqsync::store::blobs::hex(&file), &"ab".repeat(32));
    assert_eq!(raw.push_one(huge).await, None);
    let endpoint = format!("blob/{}", "ab".repeat(32));
    let request = raw
        .request(Method::PATCH, &endpoint)
        .header(OFFSET_HEADER, 0);
    let (status, refused) = answer(request.body("abcd")).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_by_somebody_not_concerned_is_not_kept() {
    let world = World::new().await;
    let (province, commune, other) = (&world.province, &world.commune, &world.other);
    let task = world.task().await;
    commune.sync().await;
    let report = world.report(task, 40).await;
    commune.sync().await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let extent = province.stored(report).await.record.extent();
    for unit in [other.unit(), commune.unit(), province.unit()] {
        let receipt =
            json!({ "receipt": { "id": report, "unit": unit, "extent": extent, "at": 1 } });
        raw.push(&[receipt.to_string()]).await;
    }
    // Leaving is announced by the owner's side only.
    raw.push(&[json!({ "k": "task", "id": task, "left": true }).to_string()])
        .await;
    assert!(province.receipts(report).await.is_empty());
    assert_eq!(commune.sync().await.agrees, Some(true));
    assert_eq!(
        province.stored(task).await.flags,
        commune.stored(task).await.flags
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_on_the_list_are_let_in_and_a_revoked_one_is_out_at_once() {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let raw = Raw::of(other).await;
    let endpoints = ["open", "push", "pull", "agree"];

    let anonymous = Raw {
        client: client(other, None).await,
        ..Raw::of(other).await
    };
    for endpoint in endpoints {
        let (status, refused) = anonymous.post(endpoint, "{}").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused["code"], "no_certificate");
    }
    // A certificate of another authority that names the same node.
    let folder = tempfile::tempdir().expect("a folder");
    let now = jiff::Timestamp::from_millisecond(support::START_MS).expect("a time");
    let authority = Authority::create(folder.path(), raw.node(), now).expect("an authority");
    let key = NodeKey::generate().expect("a key");
    let issued = authority
        .issue_server_cert(
            &key,
            raw.node(),
            &["127.0.0.1".to_owned()],
            now,
            NODE_LIFETIME,
        )
        .expect("a certificate");
    let chain = nqsync::trust::certificate::parse_chain(issued.pem.as_bytes()).expect("a chain");
    let stranger = Raw {
        client: client(other, Some((chain, &key))).await,
        ..Raw::of(other).await
    };
    for endpoint in endpoints {
        let (status, refused) = stranger.post(endpoint, "{}").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(refused["code"], "unknown_node");
    }
    // Revoked: the very next request, on the connection that is open.
    let hello = serde_json::to_vec(&raw.hello).expect("json");
    assert_eq!(raw.post("open", hello.clone()).await.0, StatusCode::OK);
    let node = raw.node();
    let revoked = province.node.store.write(move |tx| {
        nodes::set_revoked(tx.connection(), node, Some(1), "mất máy")?;
        tx.tree_has_changed();
        Ok::<_, StoreError>(())
    });
    revoked.await.expect("revoked");
    let sent = raw
        .request(Method::POST, "open")
        .body(hello.clone())
        .send()
        .await;
    // Either the connection is closed under the request, or the request is refused.
    assert!(sent.is_err() || sent.is_ok_and(|r| r.status() == StatusCode::FORBIDDEN));
    let again = raw.request(Method::POST, "open").body(hello).send().await;
    assert!(again.is_err() || again.is_ok_and(|r| r.status() == StatusCode::FORBIDDEN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_unreadable_or_out_of_turn_are_refused_by_name() {
    let world = World::new().await;
    let other = &world.other;
    let raw = Raw::of(other).await;
    let good = raw.hello.clone();

    let oldest = Versions {
        oldest: 0,
        newest: 0,
    };
    for hello in [
        json!({ "protocol": oldest }),
        json!({ "protocol": oldest, "node": good.node, "something": "else" }),
    ] {
        let (status, refused) = raw.post("open", hello.to_string()).await;
        assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refused["code"], "version");
        assert!(
            refused["message"]
                .as_str()
                .is_some_and(|m| m.contains("upgrade"))
        );
    }
    let mut impostor = serde_json::to_value(&good).expect("json");
    impostor["node"] = json!(Uuid::from_u128(1));
    let (status, refused) = raw.post("open", impostor.to_string()).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::FORBIDDEN, &json!("wrong_node"))
    );
    // Numbers at the edge of what fits are just another past.
    let mut edge = serde_json::to_value(&good).expect("json");
    edge["clock_ms"] = json!(i64::MIN);
    edge["up"]["batch"] = json!(u64::MAX);
    let (status, welcome) = raw.post("open", edge.to_string()).await;
    assert_eq!((status, &welcome["torn"]), (StatusCode::OK, &json!(true)));
    assert_eq!(welcome["protocol"], PROTOCOL.newest);
    other.sync().await;

    let mut raw = Raw::of(other).await;
    raw.open().await;
    // With a pull comes an acknowledgement, which names what was set aside of a batch of 2,000 records.
    for (endpoint, kib) in [("open", 300), ("pull", 2_300), ("agree", 300)] {
        let (status, _) = raw.post(endpoint, "not json").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let (status, refused) = raw.post(endpoint, vec![b' '; kib * 1024]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{refused}");
    }
    let (status, _) = raw.post("push", "no position").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, refused) = raw.push_body(b"not zstd".to_vec()).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::BAD_REQUEST, &json!("unreadable"))
    );
    let mut cut = pack(&["{}".to_owned()]);
    cut.truncate(cut.len() - 2);
    assert_eq!(raw.push_body(cut).await.0, StatusCode::BAD_REQUEST);
    // Larger than the limit packed, a bomb within it, and a flood of tiny lines.
    let (status, refused) = raw.push_body(noise(2, (8 << 20) + 1)).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
    let bomb = zstd::bulk::compress(&vec![b'x'; 256 << 20], 3).expect("zstd");
    assert!(bomb.len() < 64 << 10);
    let (status, refused) = raw.push_body(bomb).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
    let flood = vec!["{}".to_owned(); MAX_BATCH_LINES + 1];
    let (status, refused) = raw.push_body(pack(&flood)).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
    // Not the next batch.
    let (status, refused) = raw.push_at(1_000, pack(&[])).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::CONFLICT, &json!("position"))
    );

    // Lines nobody can read, a kind nobody knows, an edit that has seen itself: each by itself.
    let unknown = json!({ "k": "poem", "id": Uuid::from_u128(1), "f": {}, "e": [] }).to_string();
    let lines = ["[".to_owned(), "{}".to_owned(), unknown];
    let ack = raw.push(&lines).await;
    assert_eq!(ack.unreadable, 2);
    assert_eq!(ack.set_aside[0].code, "unknown_kind");
    assert_eq!(other.sync().await.agrees, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_aside_of_one_child_has_a_limit() {
    let world = World::new().await;
    let mut raw = Raw::of(&world.other).await;
    raw.open().await;
    let junk = |from: u128| -> Vec<String> {
        let poem = |n| json!({ "k": "poem", "id": Uuid::from_u128(n) }).to_string();
        (from..from + 6_000).map(poem).collect()
    };
    for from in [1, 10_000] {
        let ack = raw.push(&junk(from)).await;
        assert_eq!(ack.set_aside.len(), 6_000, "each hears why");
    }
    let kept = world.province.set_aside().await.len() as u64;
    assert_eq!(kept, nqsync::node::receive::MAX_SET_ASIDE_PER_LINK);
    assert_eq!(world.commune.sync().await.agrees, Some(true));
    // Not in bytes either: few that are large.
    let mut raw = Raw::of(&world.commune).await;
    raw.open().await;
    let long = "x".repeat(1_000_000);
    for from in (1..).step_by(8).take(5) {
        let large = |n| json!({ "k": "poem", "id": Uuid::from_u128(n), "x": long }).to_string();
        let lines: Vec<String> = (from..from + 8).map(large).collect();
        assert_eq!(raw.push(&lines).await.set_aside.len(), 8);
    }
    let kept = world.province.set_aside().await.len() as u64;
    let bytes = (kept - nqsync::node::receive::MAX_SET_ASIDE_PER_LINK) * 1_000_000;
    let most = nqsync::node::receive::MAX_BYTES_ASIDE_PER_LINK;
    assert!(bytes > most / 2 && bytes <= most + 1_000_000, "{bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_whose_position_is_wrong_opens_the_session_again_and_goes_on() {
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let task = world.task().await;
    commune.sync().await;
    let upstream = commune.upstream.as_ref().expect("a child");
    upstream.open().await.expect("open");
    // Behind its back a batch is pushed in its name.
    let mut raw = Raw::of(commune).await;
    raw.open().await;
    raw.push(&[]).await;
    let report = world.report(task, 40).await;
    let refused = upstream.push().await;
    assert!(
        matches!(refused, Err(nqsync::link::LinkError::Reopen(_))),
        "{refused:?}"
    );
    assert!(refused.is_err_and(|error| error.is_transient()));
    assert_eq!(commune.sync().await.agrees, Some(true));
    assert!(province.holds(report).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_over_the_limit_is_set_aside_by_name_and_the_rest_goes_on() {
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let task = world.task().await;
    commune.sync().await;
    let facts = world.report_facts(task);
    let cell = values([("result", json!("x".repeat(2 << 20)))]);
    let large = commune.create(commune.unit(), facts, cell).await;
    let moved = commune.sync().await;
    assert_eq!(
        (moved.report.set_aside_there, moved.agrees),
        (1, Some(true))
    );
    assert!(!province.holds(large).await);
    for place in [province, commune] {
        let item = place.set_aside().await.remove(0);
        assert_eq!((item.record, item.code.as_str()), (large, "too_large"));
    }
    assert_eq!(commune.sync().await.report.sent, 0);
}
