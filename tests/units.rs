//! Units that merge or get another server, on real nodes: nothing queued is lost, and every figure is counted once.

mod support;

use std::sync::atomic::Ordering;

use nqsync::api::{Command, ReportFields, ReportRef, RollupBy, TaskFields};
use nqsync::daemon::housekeeping;
use serde_json::{Value, json};
use support::Place;
use support::world::World;
use uuid::Uuid;

const DAY_MS: i64 = 24 * 3_600_000;

/// The same later day everywhere: the tests begin on 22 March 2026.
async fn days_after_start(world: &World, days: i64) {
    for place in [
        &world.ministry,
        &world.province,
        &world.commune,
        &world.other,
    ] {
        place
            .clock_ms
            .store(support::START_MS + days * DAY_MS, Ordering::SeqCst);
        housekeeping::begin(&place.node).await.expect("a new day");
    }
}

fn report(task: Uuid, unit: Option<&str>, period: &str) -> Command {
    Command::ReportSet {
        report: ReportRef {
            task: task.to_string(),
            unit: unit.map(str::to_owned),
            period: Some(period.to_owned()),
        },
        fields: ReportFields {
            status: Some("in_progress".to_owned()),
            percent: Some("50".to_owned()),
            ..ReportFields::default()
        },
        token: None,
        submit: true,
    }
}

/// Tasks, assignments, reports received and expected of the province in a period; recounted to the same bytes.
async fn counted(province: &Place, period: &str) -> [u64; 4] {
    province.recompute().await;
    let rollup = province
        .data(Command::RollupShow {
            period: Some(period.to_owned()),
            unit: None,
            by: RollupBy::Group,
            recompute: true,
            version: None,
        })
        .await;
    assert_eq!(rollup["recomputed"]["same"], true, "{period}");
    let count = |value: &Value| value.as_u64().expect("a count");
    [
        count(&rollup["tasks"]["total"]),
        count(&rollup["assignments"]["total"]),
        count(&rollup["coverage"]["reports_received"]),
        count(&rollup["coverage"]["reports_expected"]),
    ]
}

#[tokio::test]
async fn e9_two_communes_merged_in_mid_quarter_are_counted_once_before_at_and_after_the_date() {
    let world = World::new().await;
    let (province, old, heir) = (&world.province, &world.commune, &world.other);
    let first = world.task_of(province, old.unit(), &[]).await;
    let second = world.task_of(province, heir.unit(), &[]).await;
    let both = world.task_of(province, old.unit(), &[heir.unit()]).await;
    world.settle().await;

    // April, by hand: 3 tasks; 4 assignments (first × old, second × heir, both × old, both × heir); the old commune
    // reports its two, the heir one of its two: 3 of 4.
    days_after_start(&world, 30).await;
    old.answer(report(first, None, "2026-04")).await;
    old.answer(report(both, None, "2026-04")).await;
    heir.answer(report(second, None, "2026-04")).await;
    world.settle().await;
    let april = [3, 4, 3, 4];
    assert_eq!(counted(province, "2026-04").await, april);

    // Decided on 1 May for the 15th: until then nothing changes.
    days_after_start(&world, 40).await;
    let merge = Command::UnitMerge {
        units: vec!["24001".to_owned()],
        into: "24002".to_owned(),
        from: Some("2026-05-15".to_owned()),
    };
    province.answer(merge.clone()).await;
    assert_eq!(province.refused(merge).await.code, "unit_succeeded");
    world.settle().await;
    old.answer(report(first, None, "2026-05")).await;
    assert!(
        !province.holds(id_of(old, first, "2026-05").await).await,
        "still queued"
    );
    assert_eq!(counted(province, "2026-05").await, [3, 4, 0, 4]);
    assert_eq!(counted(province, "2026-04").await, april);

    // The day comes while the old commune's report still waits there.
    days_after_start(&world, 60).await;
    assert_eq!(counted(province, "2026-05").await, [3, 4, 0, 4]);
    let queued = id_of(old, first, "2026-05").await;
    old.sync().await;
    assert!(province.holds(queued).await, "queued work is never dropped");
    assert!(province.set_aside().await.is_empty() && old.set_aside().await.is_empty());
    assert_eq!(counted(province, "2026-05").await, [3, 4, 1, 4]);
    world.settle().await;
    assert!(heir.holds(queued).await, "the heir has what it answers for");
    let unit = heir
        .data(Command::UnitShow {
            unit: "24001".to_owned(),
        })
        .await;
    assert_eq!(unit["succession"]["in_force"], true);
    assert_eq!(unit["served_here"], true);

    // The heir answers for the old one's other assignment under the old id, and for its own two: 4 of 4.
    let answered = heir.answer(report(both, Some("24001"), "2026-05")).await;
    assert_eq!(answered.data["unit"], "24001");
    heir.answer(report(both, None, "2026-05")).await;
    heir.answer(report(second, None, "2026-05")).await;
    world.settle().await;
    assert!(province.set_aside().await.is_empty() && heir.set_aside().await.is_empty());
    assert_eq!(counted(province, "2026-05").await, [3, 4, 4, 4]);
    // The closed month is as it was; the quarter has each assignment once.
    assert_eq!(counted(province, "2026-04").await, april);
    assert_eq!(counted(province, "2026-Q2").await, [3, 4, 4, 4]);

    // The former node reads, and no more.
    let refused = old
        .ask_for(Some("24001"), report(both, Some("24001"), "2026-06"))
        .await;
    assert!(refused.is_err());
    assert_eq!(old.sync().await.agrees, Some(true));
    assert_eq!(heir.sync().await.agrees, Some(true));
}

/// The province's total of the indicator in a period.
async fn figure(province: &Place, period: &str) -> Value {
    let list = Command::IndicatorList {
        period: Some(period.to_owned()),
        unit: None,
    };
    province.data(list).await["items"][0]["total"].clone()
}

/// An indicator of which the figures add up, given to one unit.
fn counted_files_of(unit: &str) -> Command {
    Command::IndicatorDefine {
        code: "HS".to_owned(),
        name: "Hồ sơ".to_owned(),
        measure: None,
        over_time: "discrete".to_owned(),
        aggregation: "sum".to_owned(),
        comparator: None,
        target: None,
        units: vec![unit.to_owned()],
    }
}

fn figure_of(unit: &str, period: &str, value: &str) -> Command {
    Command::IndicatorSet {
        indicator: "HS".to_owned(),
        unit: Some(unit.to_owned()),
        period: Some(period.to_owned()),
        value: Some(value.to_owned()),
        numerator: None,
        denominator: None,
        token: None,
    }
}

#[tokio::test]
async fn e9_after_a_merge_the_heirs_figure_replaces_the_old_one_and_is_not_added_to_it() {
    let world = World::new().await;
    let (province, old, heir) = (&world.province, &world.commune, &world.other);
    // The heir is given the figures of the old unit by continuing it.
    let define = counted_files_of("24001");
    province.answer(define).await;
    world.settle().await;
    days_after_start(&world, 30).await;
    old.answer(figure_of("24001", "2026-04", "10")).await;
    days_after_start(&world, 40).await;
    old.answer(figure_of("24001", "2026-05", "3")).await;
    let merge = Command::UnitMerge {
        units: vec!["24001".to_owned()],
        into: "24002".to_owned(),
        from: Some("2026-05-15".to_owned()),
    };
    province.answer(merge).await;
    world.settle().await;
    days_after_start(&world, 60).await;
    world.settle().await;
    // The heir is silent still: the old figure stands.
    assert_eq!(figure(province, "2026-Q2").await["value"], "13");
    heir.answer(figure_of("24002", "2026-05", "8")).await;
    world.settle().await;
    assert_eq!(figure(province, "2026-04").await["value"], "10");
    let may = figure(province, "2026-05").await;
    assert_eq!(
        (&may["value"], &may["complete"]),
        (&json!("8"), &json!(true))
    );
    assert_eq!(may["remarks"][0]["remark"], "replaced_by_successor");
    assert_eq!(figure(province, "2026-Q2").await["value"], "18");
}

async fn id_of(place: &Place, task: Uuid, period: &str) -> Uuid {
    let shown = place
        .data(Command::ReportShow {
            report: ReportRef {
                task: task.to_string(),
                unit: Some("24001".to_owned()),
                period: Some(period.to_owned()),
            },
        })
        .await;
    shown["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("an id")
}

#[tokio::test]
async fn e9_a_unit_handed_to_another_node_is_written_there_and_its_queued_work_arrives() {
    let world = World::new().await;
    let (province, former, next) = (&world.province, &world.commune, &world.other);
    let task = world.task().await;
    world.settle().await;
    former.answer(report(task, None, "2026-03")).await;
    let serve = Command::UnitServe {
        unit: "24001".to_owned(),
        node: Some("24002".to_owned()),
    };
    province.answer(serve).await;
    // The news comes down before the former node sends what waits there.
    let queued = id_of(former, task, "2026-03").await;
    let upstream = former.upstream.as_ref().expect("a child");
    upstream.open().await.expect("opened");
    while upstream.pull(0).await.expect("pulled") {}
    former.sync().await;
    assert!(province.holds(queued).await, "queued work is never dropped");
    assert!(province.set_aside().await.is_empty());
    next.sync().await;
    let set = json!({ "result": "continued at the other node" });
    next.put_values(
        queued,
        former.unit(),
        serde_json::from_value(set).expect("values"),
    )
    .await
    .expect("the new node writes for the unit");
    next.sync().await;
    assert_eq!(province.digest(queued).await, next.digest(queued).await);
    let refused = former
        .set(queued, former.unit(), [("result", json!("too late"))], None)
        .await;
    assert!(refused.is_err(), "the former node may only read");
}

fn add(code: &str) -> Command {
    Command::UnitAdd {
        code: code.to_owned(),
        name: format!("Phòng {code}"),
        level: Some("department".to_owned()),
        parent: None,
        aliases: Vec::new(),
    }
}

fn moved(unit: &str, to: &str, from: Option<&str>) -> Command {
    Command::UnitMove {
        unit: unit.to_owned(),
        to: to.to_owned(),
        from: from.map(str::to_owned),
    }
}

fn merged(unit: &str, into: &str) -> Command {
    Command::UnitMerge {
        units: vec![unit.to_owned()],
        into: into.to_owned(),
        from: None,
    }
}

async fn unit_at(place: &Place, unit: &str) -> Value {
    let unit = unit.to_owned();
    place.data(Command::UnitShow { unit }).await
}

/// Nothing is set aside anywhere, and every node shows the units alike.
async fn all_alike(world: &World) {
    let list = |place| Place::data(place, Command::UnitList { under: None });
    let seen = list(&world.ministry).await;
    for place in [
        &world.ministry,
        &world.province,
        &world.commune,
        &world.other,
    ] {
        assert!(place.set_aside().await.is_empty());
        let mut own = list(place).await;
        for (item, known) in own["items"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .zip(seen["items"].as_array().expect("items"))
        {
            item["served_here"] = known["served_here"].clone();
        }
        assert_eq!(own, seen);
    }
}

#[tokio::test]
async fn a_unit_that_moved_and_moved_back_unheard_is_taken_in_by_everybody() {
    let world = World::new().await;
    let (ministry, province) = (&world.ministry, &world.province);
    for code in ["D1", "D2"] {
        province.answer(add(code)).await;
    }
    world.settle().await;
    // Whoever stands above holds the pen: the second move is written by D2, and only 66 has heard of that.
    province.answer(moved("D1", "D2", None)).await;
    province.answer(moved("D1", "66", None)).await;
    world.settle().await;
    all_alike(&world).await;
    let rename = Command::UnitRename {
        unit: "D1".to_owned(),
        code: None,
        name: Some("Phòng mới".to_owned()),
    };
    province.answer(rename).await;
    world.settle().await;
    all_alike(&world).await;
    assert_eq!(unit_at(ministry, "D1").await["name"], "Phòng mới");

    // The same from above, between two branches.
    let other_branch = Command::UnitAdd {
        code: "79".to_owned(),
        name: "Tỉnh khác".to_owned(),
        level: None,
        parent: None,
        aliases: Vec::new(),
    };
    ministry.answer(other_branch).await;
    world.settle().await;
    for (to, by) in [("79", "66"), ("66", "79")] {
        let done = ministry.ask_for(Some(by), moved("24001", to, None)).await;
        done.expect("the ministry decides for both");
    }
    world.settle().await;
    all_alike(&world).await;
    // A province gives no unit away, and takes none.
    let refused = province.refused(moved("24001", "79", None)).await;
    assert_eq!(refused.code, "unit_beyond");
    let refused = province.refused(merged("24001", "79")).await;
    assert_eq!(refused.code, "unit_beyond");
}

#[tokio::test]
async fn a_move_that_is_planned_stays_when_another_comes_before_it() {
    let world = World::new().await;
    let province = &world.province;
    days_after_start(&world, 0).await;
    for code in ["D1", "D2", "D3"] {
        province.answer(add(code)).await;
    }
    province.answer(moved("D1", "D2", Some("2026-04-10"))).await;
    let told = province.answer(moved("D1", "D3", None)).await;
    assert!(
        told.notes.concat().contains("2026-04-10"),
        "{:?}",
        told.notes
    );
    assert_eq!(unit_at(province, "D1").await["parent"], "D3");
    world.settle().await;
    days_after_start(&world, 30).await;
    assert_eq!(unit_at(&world.ministry, "D1").await["parent"], "D2");
    all_alike(&world).await;
}

#[tokio::test]
async fn i14_two_units_merged_into_each_other_unheard_stay_in_the_tree_until_somebody_decides() {
    let world = World::new().await;
    let (ministry, province) = (&world.ministry, &world.province);
    let task = world.task_of(province, world.commune.unit(), &[]).await;
    world.settle().await;
    world.commune.answer(report(task, None, "2026-03")).await;
    province.answer(merged("24001", "24002")).await;
    let done = ministry.ask_for(Some("66"), merged("24002", "24001")).await;
    done.expect("the ministry has not heard of the other");
    world.settle().await;
    world.settle().await;
    all_alike(&world).await;
    let (one, other) = (
        unit_at(ministry, "24001").await,
        unit_at(ministry, "24002").await,
    );
    let (gone, stays) = match one["undone"].is_null() {
        true => (one, other),
        false => (other, one),
    };
    assert_eq!(gone["succession"]["in_force"], true);
    assert_eq!(
        (&stays["undone"], &stays["parent"]),
        (&gone["code"], &json!("66"))
    );
    assert!(stays["succession"].is_null() && !stays["served_by"].is_null());
    let queued = id_of(&world.commune, task, "2026-03").await;
    assert!(province.holds(queued).await, "queued work is never dropped");
    let status = province.data(Command::Status).await;
    assert!(
        status["problems"].to_string().contains("unit_undone"),
        "{status}"
    );

    // Somebody says where it stands, and that is the end of it.
    let code = stays["code"].as_str().expect("a code");
    province.answer(moved(code, "66", None)).await;
    world.settle().await;
    all_alike(&world).await;
    assert!(unit_at(ministry, code).await["undone"].is_null());
    let status = province.data(Command::Status).await;
    assert!(!status["problems"].to_string().contains("unit_undone"));
}

#[tokio::test]
async fn a_task_given_to_others_is_asked_of_a_unit_no_more() {
    let world = World::new().await;
    let (province, commune) = (&world.province, &world.commune);
    let task = world.task_of(province, commune.unit(), &[]).await;
    world.settle().await;
    let expected = async |place: &Place| {
        let list = Command::PeriodList {
            unit: None,
            period: Some("2026-04".to_owned()),
        };
        let units = place.data(list).await;
        let own = units["items"]
            .as_array()
            .expect("units")
            .iter()
            .find(|unit| unit["unit"] == "24001");
        own.map_or(0, |own| own["expected"].as_u64().expect("a count"))
    };
    let state = async || {
        let show = Command::TaskShow {
            task: task.to_string(),
        };
        commune.data(show).await["status"].clone()
    };
    days_after_start(&world, 30).await;
    assert_eq!(
        (state().await, expected(commune).await),
        (json!("not_reported"), 1)
    );
    commune.answer(report(task, None, "2026-03")).await;
    let lead = support::world::units("24002", &[world.other.unit()]);
    let given = province
        .set(task, province.unit(), [("lead", lead)], None)
        .await;
    given.expect("written");
    world.settle().await;
    assert_eq!(
        (state().await, expected(commune).await),
        (json!("given_elsewhere"), 0)
    );
    let refused = commune.refused(report(task, None, "2026-04")).await;
    assert_eq!(refused.code, "task_given_elsewhere");
    // What was begun may be finished.
    commune.answer(report(task, None, "2026-03")).await;
    world.settle().await;
    assert!(province.set_aside().await.is_empty());

    let lead = support::world::units("24001", &[commune.unit()]);
    let given = province
        .set(task, province.unit(), [("lead", lead)], None)
        .await;
    given.expect("written");
    world.settle().await;
    assert_ne!(state().await, "given_elsewhere");
    commune.answer(report(task, None, "2026-04")).await;
}

/// Work that a province gave goes on with whoever continues the unit in another branch: all that both say of it passes the
/// ministry, although neither stands above the other.
#[tokio::test]
async fn e9_work_goes_on_with_an_heir_in_another_branch() {
    let world = World::new().await;
    let (ministry, province) = (&world.ministry, &world.province);
    let unit = ministry.add_unit("79", "province", None).await;
    let far = Place::child(ministry, "79", unit).await;
    let unit = far.add_unit("79001", "commune", None).await;
    let heir = Place::child(&far, "79001", unit).await;
    let everywhere = async || {
        for _ in 0..2 {
            world.settle().await;
            for place in [&heir, &far] {
                place.sync().await;
            }
        }
        heir.sync().await;
        world.settle().await;
    };
    let define = counted_files_of("24001");
    province.answer(define).await;
    let task = world.task().await;
    everywhere().await;
    let merge = merged("24001", "79001");
    let merge = ministry.ask_for(Some("66"), merge).await;
    merge.expect("the ministry decides for both");
    everywhere().await;

    heir.answer(figure_of("79001", "2026-04", "8")).await;
    heir.answer(report(task, Some("24001"), "2026-04")).await;
    let wish = Command::ProposalMake {
        task: task.to_string(),
        field: "deadline".to_owned(),
        value: "31/12/2026".to_owned(),
        reason: "Sáp nhập".to_owned(),
    };
    let wish = heir.answer(wish).await.data["id"].clone();
    everywhere().await;
    for place in [ministry, province, &far, &heir, &world.commune] {
        let aside = place.set_aside().await;
        assert!(aside.is_empty(), "{aside:?}");
    }
    assert_eq!(figure(province, "2026-04").await["value"], "8");
    assert!(province.holds(id_of(&heir, task, "2026-04").await).await);
    let decide = Command::ProposalDecide {
        proposal: wish.as_str().expect("an id").to_owned(),
        accept: true,
        reason: Some("Đồng ý".to_owned()),
        token: None,
    };
    province.answer(decide).await;
    // The form of the console says the units again by their codes; a further one is given the task as well.
    let shown = province
        .data(Command::TaskShow {
            task: task.to_string(),
        })
        .await;
    let mut lead: Vec<String> = serde_json::from_value(shown["lead"].clone()).expect("codes");
    lead.push("24002".to_owned());
    let change = Command::TaskUpdate {
        task: task.to_string(),
        fields: TaskFields {
            lead: Some(lead.clone()),
            ..TaskFields::default()
        },
        token: None,
    };
    let changed = province.answer(change).await;
    assert_eq!(changed.data["lead"], json!(lead), "{:?}", changed.notes);
    everywhere().await;
    let seen = heir
        .data(Command::TaskShow {
            task: task.to_string(),
        })
        .await;
    assert_eq!(
        (&seen["deadline"]["due"], &seen["lead"]),
        (&json!("2026-12-31"), &json!(lead))
    );
    for place in [ministry, province, &far, &heir, &world.other] {
        let aside = place.set_aside().await;
        assert!(aside.is_empty(), "{aside:?}");
    }
}
