//! Lists that may be long, in two steps: the ids in the order of the list, then items in parts, so that nobody has to hold
//! all of them at a time.

use nqsync_core::model::{Kind, UnitId};
use nqsync_core::sync::scope;
use serde_json::{Value, json};
use uuid::Uuid;

use super::views::{report_item, span, task_listed};
use super::{Reading, Said, refs, resolve, tasks};
use crate::api::LongList;
use crate::node::Refusal;
use crate::node::standings::Standings;
use crate::store::records;

/// Most items that are answered at a time.
const MOST: usize = 1_000;

/// The ids, in the order of `task list` and `report list`.
pub fn ids(
    on: &Reading<'_>,
    list: LongList,
    period: &str,
    unit: Option<&str>,
) -> Result<Said, Refusal> {
    let period = refs::period(&on.view(), Some(period))?;
    let under = unit
        .map(|text| resolve(&on.tree, text, on.home))
        .transpose()?;
    let within = |unit: UnitId| under.is_none_or(|above| on.tree.is_within(unit, above));
    let ids: Vec<Uuid> = match list {
        LongList::Tasks => {
            let mut found = Vec::new();
            records::each_of_kind(on.connection, Kind::Task, |stored| {
                let record = &stored.record;
                let meant = under.is_none() || scope::assigned(record).into_iter().any(&within);
                if meant && !record.is_deleted() {
                    found.push((tasks::order(record), record.key().id));
                }
                Ok(())
            })?;
            found.sort_unstable();
            found.into_iter().map(|(_, id)| id).collect()
        }
        LongList::Reports => {
            let mut found = records::of_period(on.connection, Kind::Report, &period.to_string())?;
            found.retain(|(_, owner, _)| within(*owner));
            found.sort_by_cached_key(|(about, owner, _)| (*about, on.tree.path(*owner)));
            found.into_iter().map(|(.., id)| id).collect()
        }
    };
    Ok(Said::done(json!({ "period": period, "ids": ids })))
}

/// Some of the items, in the order of these ids; without those that have gone meanwhile.
pub fn items(
    on: &Reading<'_>,
    list: LongList,
    period: &str,
    ids: &[Uuid],
) -> Result<Said, Refusal> {
    let view = on.view();
    let day = span(&refs::period(&view, Some(period))?).end;
    let standings = Standings::of(on.connection, &on.tree)?;
    let mut items: Vec<Value> = Vec::new();
    for id in ids.iter().take(MOST) {
        let Some(stored) = records::load(on.connection, *id)? else {
            continue;
        };
        items.push(match list {
            LongList::Tasks => task_listed(&view, &standings, &stored, Some(day))?,
            LongList::Reports => report_item(&view, &stored)?,
        });
    }
    Ok(Said::done(json!({ "items": items })))
}

#[cfg(test)]
mod tests {
    use nqsync_core::model::Facts;

    use super::*;
    use crate::api::{Command, Narrowed};
    use crate::node::commands::fixture::{COMMUNE, Fixture, PROVINCE, WARD, unit};

    #[test]
    fn a_long_list_in_parts_is_the_list() {
        let fixture = Fixture::new();
        for number in [10, 9, 2, 1] {
            let task = fixture.task(PROVINCE, number, "II", &[COMMUNE, WARD]);
            fixture.report(task, PROVINCE, WARD, "2026-03", "completed");
            fixture.report(task, PROVINCE, COMMUNE, "2026-02", "in_progress");
            fixture.report(task, PROVINCE, COMMUNE, "2026-03", "in_progress");
        }
        let issued = Facts::Task {
            issuer: unit(PROVINCE),
            parent: None,
        };
        let gone = fixture.task(PROVINCE, 3, "I", &[WARD]);
        fixture.put(
            unit(PROVINCE),
            issued,
            gone,
            &[("life", json!({ "deleted": true }))],
        );
        fixture.task(PROVINCE, 4, "I", &[WARD]);
        let period = || "2026-03".to_owned();
        for under in [None, Some("00456"), Some("00123")] {
            let under = under.map(str::to_owned);
            let lists = [
                Command::TaskList {
                    unit: under.clone(),
                    group: None,
                    issuer: None,
                    unresolved: false,
                    period: Some(period()),
                    narrowed: Narrowed::default(),
                },
                Command::ReportList {
                    task: None,
                    unit: under.clone(),
                    period: Some(period()),
                },
            ];
            for (list, whole) in [LongList::Tasks, LongList::Reports].into_iter().zip(lists) {
                let ids = fixture.data(Command::LongIds {
                    list,
                    period: period(),
                    unit: under.clone(),
                });
                let ids: Vec<Uuid> = serde_json::from_value(ids["ids"].clone()).expect("ids");
                let mut items = Vec::new();
                for ids in ids.chunks(3) {
                    let ids = ids.to_vec();
                    let some = Command::LongItems {
                        list,
                        period: period(),
                        ids,
                    };
                    let some = fixture.data(some);
                    items.extend(some["items"].as_array().expect("items").clone());
                }
                let whole = fixture.data(whole);
                assert!(items.len() >= 4);
                assert_eq!(json!(items), whole["items"], "{list:?} {under:?}");
            }
        }
    }
}
