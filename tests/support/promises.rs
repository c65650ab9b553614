//! Promises as functions: the tests ask that they hold, the canaries that they are seen to break.

use nqsync::store::records::Flags;
use nqsync::store::{Store, StoreError, StoreOptions, queries};
use nqsync_core::model::{Facts, Tree};
use nqsync_core::sync::Record;
use serde_json::json;
use uuid::Uuid;

use super::raw::{Raw, line};
use super::world::{World, progress};
use super::{Place, values};

/// A promise that was broken, in words.
pub type Kept = Result<(), String>;

/// Fails with these words unless the condition holds.
pub fn keep(condition: bool, words: impl FnOnce() -> String) -> Kept {
    if condition { Ok(()) } else { Err(words()) }
}

/// What the store has acknowledged is there after it is opened again.
pub async fn acknowledged_writes_are_on_disk() -> Kept {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = StoreOptions {
        create: true,
        ..StoreOptions::new(dir.path())
    };
    let store = Store::open(&options).expect("a store");
    for number in 0..5 {
        let written = store.write(move |tx| tx.set_meta(&format!("key {number}"), "kept"));
        written
            .await
            .map_err(|error: StoreError| error.to_string())?;
    }
    store.close();
    let store = Store::open(&options).expect("the same store");
    for number in 0..5 {
        let found = store.read(move |c| queries::meta(c, &format!("key {number}")));
        keep(found.await.expect("a read").is_some(), || {
            format!("acknowledged write {number} is gone after a restart")
        })?;
    }
    store.close();
    Ok(())
}

/// One bad record in the middle of a batch: the others are joined, it is set aside on both sides with its reason, and
/// the position moves.
pub async fn a_bad_record_is_set_aside_on_both_sides() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let task = world.task().await;
    commune.sync().await;
    // Each is written in this order, so they stand in this order in the batch.
    let mut reports = Vec::new();
    for task in [task, Uuid::from_u128(7), task] {
        let facts = Facts::Report {
            unit: commune.unit(),
            issuer: province.unit(),
            task,
            period: format!("2026-0{}", reports.len() + 1),
        };
        let values = values([("progress", progress(10))]);
        reports.push(commune.create(commune.unit(), facts, values).await);
    }
    let before = commune.link_to(province).await.up.batch;
    let moved = commune.sync().await;
    let bad = reports.remove(1);
    for good in reports {
        keep(province.holds(good).await, || {
            "a record beside a bad one was not joined".into()
        })?;
    }
    keep(!province.holds(bad).await, || {
        "a report without a task was joined".into()
    })?;
    keep(
        commune.link_to(province).await.up.batch == before + 1,
        || "the position did not move by the one batch".into(),
    )?;
    for (place, incoming) in [(province, true), (commune, false)] {
        let items = place.set_aside().await;
        let told = items.iter().any(|item| {
            item.record == bad
                && item.incoming == incoming
                && item.code == "not_assigned"
                && item.reason.contains("never assigned")
        });
        keep(told && items.len() == 1, || {
            format!("not set aside with its reason, incoming: {incoming}; found {items:?}")
        })?;
    }
    keep(moved.agrees == Some(true), || {
        "the sides do not agree although only a record set aside differs".into()
    })
}

/// A record above the level of a line, as a store may only hold it by a mistake, stays where it is.
pub async fn what_is_above_the_line_does_not_leave() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let task = world.task().await;
    commune.sync().await;
    let record = classified(&world, task);
    let (id, kept) = (record.key().id, record.clone());
    let saved = commune
        .node
        .store
        .write(move |tx| tx.save(&kept, None, &[], None, super::START_MS).map(drop));
    saved.await.expect("saved");
    let other = world.report(world.task().await, 20).await;
    commune.sync().await;
    commune.sync().await;
    keep(province.holds(other).await, || {
        "what lies behind it does not arrive".into()
    })?;
    let told = commune.set_aside().await;
    keep(told.is_empty() && !province.holds(id).await, || {
        format!("a record above the level of the line was sent: {told:?}")
    })
}

/// A record above the level of a store that a neighbour sends is refused by its name, and nothing of it is kept.
pub async fn what_is_above_the_line_is_not_taken_in() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let task = world.task().await;
    commune.sync().await;
    let record = classified(&world, task);
    let mut raw = Raw::of(commune).await;
    raw.open().await;
    let code = raw
        .push_one(nqsync_core::protocol::render_record(&record))
        .await;
    keep(code.as_deref() == Some("above_ceiling"), || {
        format!("a record above the level of the store was answered with {code:?}")
    })?;
    let held = province.set_aside().await;
    keep(
        held.is_empty() && !province.holds(record.key().id).await,
        || "something of a record above the level of the store was kept".into(),
    )
}

/// The commune's report on a task, as if it were a state secret.
fn classified(world: &World, task: Uuid) -> Record {
    let unit = world.commune.unit();
    let values = values([("progress", progress(10))]);
    let plain = super::raw::authored(9, world.report_facts(task), unit, values);
    let raw = plain
        .facts_raw()
        .replacen('{', r#"{"classification":"secret","#, 1);
    Record::new(plain.key(), &raw, plain.edits().to_vec()).expect("a record")
}

/// A form opened before a change arrived and saved after it makes a conflict; it overwrites nothing.
pub async fn a_stale_form_makes_a_conflict() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let unit = commune.unit();
    let task = world.task().await;
    commune.sync().await;
    let report = world.report(task, 10).await;
    commune.sync().await;
    let form = province.stored(report).await.record.token();
    let written = commune
        .set(report, unit, [("progress", progress(50))], None)
        .await;
    written.expect("written at the commune");
    commune.sync().await;
    let saved = province
        .set(report, unit, [("progress", progress(20))], Some(form))
        .await;
    saved.expect("saved at the province");
    for place in [province, commune] {
        commune.sync().await;
        let stored = place.stored(report).await;
        let view = stored.record.register("progress");
        let mut percents: Vec<_> = view
            .siblings
            .iter()
            .map(|write| write.json()["percent"].clone())
            .collect();
        percents.sort_by_key(ToString::to_string);
        keep(percents == [json!("20"), json!("50")], || {
            format!("the values kept are {percents:?}, not both")
        })?;
        keep(stored.flags.has(Flags::CONFLICT), || {
            "two values, and no conflict is shown".into()
        })?;
    }
    Ok(())
}

/// A round in which nothing changed moves nothing, and what was received is not sent back.
pub async fn an_idle_round_moves_nothing() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    world.task().await;
    let first = commune.sync().await;
    keep(first.report.received > 0, || "nothing came down".into())?;
    keep(first.report.sent == 0, || {
        format!(
            "{} records were sent back to where they came from",
            first.report.sent
        )
    })?;
    idle(commune, province).await
}

/// The same for a link as it stands.
pub async fn idle(child: &Place, parent: &Place) -> Kept {
    let marks = |row: nqsync::store::LinkRow| (row.up, row.down);
    let before = marks(child.link_to(parent).await);
    for round in 1..=3 {
        let idle = child.sync().await.report;
        keep(
            (idle.sent, idle.received, idle.bytes_up, idle.bytes_down) == (0, 0, 0, 0),
            || format!("round {round} with nothing changed moved {idle:?}"),
        )?;
        keep(idle.set_aside_here + idle.set_aside_there == 0, || {
            format!("round {round} offered again what was set aside: {idle:?}")
        })?;
    }
    keep(marks(child.link_to(parent).await) == before, || {
        "a batch was sent although nothing changed".into()
    })
}

/// A child cannot write what is not its own, whatever it signs it with.
pub async fn a_forged_record_changes_nothing() -> Kept {
    let world = World::new().await;
    let (province, other) = (&world.province, &world.other);
    let task = world.task().await;
    let before = province.digest(task).await;
    let mut raw = Raw::of(other).await;
    raw.open().await;
    let mut forged = province.stored(task).await.record;
    let author = nqsync_core::sync::Author {
        incarnation: nqsync_core::sync::Incarnation([9; 16]),
        unit: province.unit(),
        name: "by hand",
        seal: None,
    };
    let values = values([("title", json!("Đã sửa"))]);
    forged
        .write(author, super::START_MS, values, None)
        .expect("writable");
    let code = raw
        .push_one(nqsync_core::protocol::render_record(&forged))
        .await;
    keep(code.is_some(), || "a forged task was not set aside".into())?;
    keep(province.digest(task).await == before, || {
        "a commune changed a task of the province".into()
    })?;
    let fresh = line(
        1,
        Facts::Task {
            issuer: province.unit(),
            parent: None,
        },
        province.unit(),
        super::values([("lead", super::world::units("24002", &[other.unit()]))]),
    );
    keep(raw.push_one(fresh).await.is_some(), || {
        "a task in the province's name was taken from a commune".into()
    })
}

/// A child that deletes most of what it sent: nothing of that is lost above until a person says so, and everything else
/// goes on.
pub async fn a_mass_deletion_waits_for_a_person() -> Kept {
    let world = World::new().await;
    let (commune, province) = (&world.commune, &world.province);
    let reports = world.many_reports(25).await;
    delete_all(commune, &reports).await;
    let late = world.task().await;
    commune.sync().await;
    let late = world.report(late, 10).await;
    commune.sync().await;
    for report in &reports {
        let lost = province.stored(*report).await.record.is_deleted();
        keep(!lost, || {
            format!("report {report} was deleted above without asking")
        })?;
    }
    keep(province.holds(late).await, || {
        "a record beside the mass deletion did not get through".into()
    })?;
    keep(province.waiting().await.len() == 1, || {
        "nothing is listed as waiting for a person".into()
    })?;
    keep(province.has_problem("held").await, || {
        "status does not tell that something waits".into()
    })
}

/// Deletes records of a commune there.
pub async fn delete_all(commune: &Place, records: &[Uuid]) {
    for id in records {
        let values = commune.stored(*id).await.record.deletion("wrong file");
        commune
            .put_values(*id, commune.unit(), values)
            .await
            .expect("deleted");
    }
}

/// A commit is answered when the disk has it: nothing less than `synchronous=FULL` holds over a power cut.
pub async fn every_commit_waits_for_the_disk() -> Kept {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = StoreOptions {
        create: true,
        ..StoreOptions::new(dir.path())
    };
    let store = Store::open(&options).expect("a store");
    let asked = store.write(|tx| {
        let read = |name: &str| {
            let text = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            tx.connection()
                .query_row(&format!("PRAGMA {name}"), [], text)
        };
        Ok::<_, StoreError>((read("synchronous")?, read("journal_mode")?))
    });
    let (synchronous, journal) = asked.await.expect("a read");
    store.close();
    keep(synchronous == rusqlite::types::Value::Integer(2), || {
        format!("the store commits with synchronous={synchronous:?}")
    })?;
    keep(
        journal == rusqlite::types::Value::Text("wal".into()),
        || format!("the store keeps its journal as {journal:?}"),
    )
}

/// The percent of several units is that of their sums.
pub async fn percents_are_never_averaged() -> Kept {
    use nqsync_core::model::values::{Aggregation, Figures, IndicatorDefinition, OverTime};
    use nqsync_core::rollup::{FigureFacts, PeriodSpan, aggregate};
    let definition: IndicatorDefinition = serde_json::from_value(json!({
        "code": "x", "name": "x", "aggregation": Aggregation::RatioOfSums, "over_time": OverTime::Discrete,
    }))
    .expect("a definition");
    let unit = |number: u128| nqsync_core::model::UnitId(Uuid::from_u128(number));
    let figure = |number, part: &str, whole: &str| FigureFacts {
        unit: unit(number),
        period: PeriodSpan {
            name: "2026-03".into(),
            start: jiff::civil::date(2026, 3, 1),
            end: jiff::civil::date(2026, 3, 31),
        },
        figures: Figures {
            value: None,
            numerator: Some(part.into()),
            denominator: Some(whole.into()),
        },
    };
    let figures = [figure(1, "1", "2"), figure(2, "90", "100")];
    let total = aggregate(&definition, &figures, &[unit(1), unit(2)], &Tree::default())
        .expect("small numbers");
    keep(total.value.as_deref() == Some("89.2157"), || {
        format!("1 of 2 and 90 of 100 are {:?} percent", total.value)
    })
}

/// A task as one author wrote it.
fn task(title: &str) -> (nqsync_core::sync::Record, nqsync_core::model::UnitId) {
    let issuer = nqsync_core::model::UnitId(Uuid::from_u128(7));
    let facts = Facts::Task {
        issuer,
        parent: None,
    };
    let record = super::raw::authored(1, facts, issuer, values([("title", json!(title))]));
    (record, issuer)
}

/// What an opening of a store writes into a record carries a number that it never used there before.
pub async fn no_number_is_used_twice() -> Kept {
    let (mut record, unit) = task("a");
    let before = record.extent();
    let author = nqsync_core::sync::Author {
        incarnation: nqsync_core::sync::Incarnation(1_u128.to_be_bytes()),
        unit,
        name: "by hand",
        seal: None,
    };
    let written = record.write(
        author,
        super::START_MS,
        values([("title", json!("b"))]),
        None,
    );
    written.map_err(|error| error.to_string())?;
    let writes = record.edits().iter().flat_map(|edit| edit.writes());
    let again = writes.filter(|write| before.contains(write.dot)).count();
    keep(again == 0, || "a number was used twice".into())?;
    keep(record.shown("title") == Some(json!("b")), || {
        "the later write is not shown".into()
    })
}

/// A copy that lacks something takes nothing away.
pub async fn nothing_is_deleted_by_absence() -> Kept {
    let (old, unit) = task("a");
    let mut new = old.clone();
    let author = nqsync_core::sync::Author {
        incarnation: nqsync_core::sync::Incarnation([5; 16]),
        unit,
        name: "by hand",
        seal: None,
    };
    new.write(
        author,
        super::START_MS,
        values([("note", json!("kept"))]),
        None,
    )
    .expect("writable");
    new.join(&old).expect("the same record");
    keep(new.shown("note") == Some(json!("kept")), || {
        "a value is gone because a copy did not have it".into()
    })
}

/// Of two writes that did not know of each other both stay, whatever the clocks said.
pub async fn no_clock_decides_what_survives() -> Kept {
    let (base, unit) = task("a");
    let written = |number: u8, now_ms| {
        let mut copy = base.clone();
        let author = nqsync_core::sync::Author {
            incarnation: nqsync_core::sync::Incarnation([number; 16]),
            unit,
            name: "by hand",
            seal: None,
        };
        let title = values([("title", json!(number))]);
        copy.write(author, now_ms, title, None).expect("writable");
        copy
    };
    let mut early = written(3, super::START_MS);
    let late = written(4, super::START_MS + 86_400_000);
    early.join(&late).expect("the same record");
    let kept = early.register("title").siblings.len();
    keep(kept == 2, || {
        format!("{kept} of two concurrent writes are left")
    })
}

/// A commune holds what it writes or needs, and nothing of its neighbours.
pub async fn a_commune_holds_only_what_concerns_it() -> Kept {
    let world = World::new().await;
    let task = world.task().await;
    world.commune.sync().await;
    let report = world.report(task, 10).await;
    world.settle().await;
    for id in [task, report] {
        keep(world.commune.holds(id).await, || {
            "it does not hold its own".into()
        })?;
        keep(!world.other.holds(id).await, || {
            "a commune holds a record of another one".into()
        })?;
    }
    Ok(())
}
