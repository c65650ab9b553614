//! What people are told of by message: red warnings and reminders of deadlines, each once for each channel.
//!
//! Invariant: what a channel is told is noted in the same transaction as the message that tells it, before anything is
//! sent. A message is sent until the other side has taken it, always with the same bytes and the same name: where a
//! crash left it unknown whether it arrived, a second copy is known as one.

use jiff::Timestamp;
use jiff::civil::Date;
use nqsync_core::model::UnitId;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::Node;
use super::commands::refs::title;
use super::commands::sentence;
use crate::api::Lang;
use crate::store::notices::{self, Draft, Notice};
use crate::store::{StoreError, queries, records, reminders, warnings};
use crate::text::word;

/// Why `notify.toml` cannot be used, among the facts about the store; empty where it can.
pub const UNUSABLE: &str = "notify_unusable";
/// A warning is told of once it has stood this long: while a first load goes on, tasks come before their reports.
const SETTLE_MS: i64 = 15 * 60_000;
/// Entries written out in a message; the rest is counted.
const MOST_TOLD: usize = 200;
/// The first pause after a failure, and the longest.
const PAUSES_MS: (i64, i64) = (60_000, 6 * 3_600_000);
/// How long a message that was sent is remembered.
const KEEP_MS: i64 = 400 * 24 * 3_600_000;

/// How people are told.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The language of subjects and texts.
    pub lang: Lang,
    /// The hour of the day before which nothing is begun.
    pub from_hour: i8,
    /// The subject; `{unit}` and `{name}` are filled in.
    pub subject: String,
}

/// Something to tell: its name in the ledger, a line for people, and the same for programs.
struct Entry {
    key: String,
    line: String,
    facts: Value,
}

/// The message of a channel that is to be sent now. A new one is begun where there is something to tell and none waits.
pub async fn next(
    node: &Node,
    channel: &'static str,
    telling: &Telling,
) -> Result<Option<Notice>, StoreError> {
    let now_ms = node.clock.now_ms();
    let worker = node.clone();
    let told = telling.clone();
    let (waiting, fresh) = node
        .store
        .read(move |connection| {
            let waiting = notices::waiting(connection, channel)?;
            let fresh = match waiting {
                Some(_) => false,
                None => !fresh(&worker, connection, channel, &told)?.is_empty(),
            };
            Ok::<_, StoreError>((waiting, fresh))
        })
        .await?;
    if let Some(notice) = waiting {
        return Ok((notice.next_at <= now_ms).then_some(notice));
    }
    if !fresh {
        return Ok(None);
    }
    let worker = node.clone();
    let telling = telling.clone();
    node.store
        .write(move |tx| {
            let entries = fresh_now(&worker, tx.connection(), channel, &telling)?;
            if !entries.is_empty() {
                begin(&worker, tx.connection(), channel, &telling, &entries)?;
            }
            notices::forget(tx.connection(), now_ms - KEEP_MS)?;
            notices::waiting(tx.connection(), channel)
        })
        .await
}

/// A message was taken, or why not.
pub async fn note(
    node: &Node,
    notice: &Notice,
    outcome: Result<String, String>,
) -> Result<(), StoreError> {
    let now_ms = node.clock.now_ms();
    let (number, tries) = (notice.number, notice.tries);
    node.store
        .write(move |tx| match outcome {
            Ok(answer) => notices::sent(tx.connection(), number, &answer, now_ms),
            Err(error) => {
                let next_at = now_ms.saturating_add(pause_ms(tries));
                notices::failed(tx.connection(), number, &error, next_at, now_ms)
            }
        })
        .await
}

/// The pause after that many failures before this one: it doubles up to a limit.
fn pause_ms(tries: u32) -> i64 {
    let (first, longest) = PAUSES_MS;
    first.saturating_mul(1 << tries.min(20)).min(longest)
}

/// The name of a message, the same at every try.
pub fn name_of(notice: &Notice, node: &str) -> String {
    format!("notice.{}.{}.{node}", notice.number, notice.made_at)
}

/// What a channel has not been told of. Nothing before the hour from which people may be told.
fn fresh(
    node: &Node,
    connection: &Connection,
    channel: &str,
    telling: &Telling,
) -> Result<Vec<Entry>, StoreError> {
    let now = Timestamp::from_millisecond(node.clock.now_ms()).unwrap_or_default();
    let hour = now.to_zoned(node.settings.zone.clone()).hour();
    match hour < telling.from_hour {
        true => Ok(Vec::new()),
        false => fresh_now(node, connection, channel, telling),
    }
}

fn fresh_now(
    node: &Node,
    connection: &Connection,
    channel: &str,
    telling: &Telling,
) -> Result<Vec<Entry>, StoreError> {
    let mut fresh = reminded(connection, channel, telling.lang)?;
    fresh.extend(warned(node, connection, channel, telling.lang)?);
    Ok(fresh)
}

fn reminded(connection: &Connection, channel: &str, lang: Lang) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for reminder in reminders::all(connection)? {
        let entry = format!(
            "reminder/{}/{}/{}",
            reminder.regime, reminder.period, reminder.stage
        );
        if notices::was_told(connection, channel, &entry)? {
            continue;
        }
        let facts: Value = serde_json::from_str(&reminder.facts)
            .map_err(|e| StoreError::Damaged(format!("a reminder cannot be read: {e}")))?;
        let owing = facts["owing"].as_array().into_iter().flatten();
        let named: Vec<&str> = owing
            .filter_map(|unit| unit["unit"].as_str())
            .take(MOST_TOLD)
            .collect();
        let key = match reminder.stage > 0 {
            true => "notice-reminder-after",
            false => "notice-reminder-before",
        };
        let regime = word(lang, "word-regime-", &reminder.regime);
        let args = [
            ("regime", regime.unwrap_or_else(|| reminder.regime.clone())),
            ("period", reminder.period.clone()),
            ("due", day_of(&facts["last_day"])),
            ("count", facts["units_owing"].to_string()),
            ("units", named.join(", ")),
        ];
        entries.push(Entry {
            key: entry,
            line: sentence(lang, key, &args),
            facts: json!({ "reminder": facts }),
        });
    }
    Ok(entries)
}

fn warned(
    node: &Node,
    connection: &Connection,
    channel: &str,
    lang: Lang,
) -> Result<Vec<Entry>, StoreError> {
    let (today, settled) = (node.today(), node.clock.now_ms() - SETTLE_MS);
    let mut fresh = Vec::new();
    for raised in warnings::open(connection)? {
        let entry = format!("warning/{}", raised.number);
        let is_told = || notices::was_told(connection, channel, &entry);
        if raised.raised_at <= settled && !raised.is_silenced(today) && !is_told()? {
            fresh.push((entry, raised));
        }
    }
    if fresh.is_empty() {
        return Ok(Vec::new());
    }
    let tree = queries::load_tree(connection)?;
    let mut entries = Vec::new();
    for (key, raised) in fresh {
        let warning = &raised.warning;
        let task = records::load(connection, warning.task)?.map(|stored| stored.record);
        let unit = warning.unit.map(|unit| tree.code(unit));
        let due = task.as_ref().and_then(|task| task.shown("deadline"));
        let due = due.map(|value| value["due"].clone()).unwrap_or_default();
        let task_title = task.as_ref().map(title).unwrap_or_default();
        let kind = warning.kind.as_str();
        let args = [
            (
                "kind",
                word(lang, "word-warning-", kind).unwrap_or_else(|| kind.to_owned()),
            ),
            ("unit", unit.clone().unwrap_or_else(|| "?".to_owned())),
            ("task", task_title.clone()),
            ("due", day_of(&due)),
        ];
        entries.push(Entry {
            key,
            line: sentence(lang, "notice-warning", &args),
            facts: json!({ "warning": { "number": raised.number, "kind": kind, "task": warning.task,
                "task_title": task_title, "unit": unit, "due": due,
                "raised_at": Timestamp::from_millisecond(raised.raised_at).ok().map(|at| at.to_string()) } }),
        });
    }
    Ok(entries)
}

/// A day as people here write it.
fn day_of(value: &Value) -> String {
    let day: Option<Date> = value.as_str().and_then(|text| text.parse().ok());
    day.map_or_else(
        || "-".to_owned(),
        |day| day.strftime("%d/%m/%Y").to_string(),
    )
}

fn begin(
    node: &Node,
    connection: &Connection,
    channel: &str,
    telling: &Telling,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let lang = telling.lang;
    let tree = queries::load_tree(connection)?;
    let home: Option<UnitId> = queries::meta(connection, "unit")?.and_then(|t| t.parse().ok());
    let code = home.map(|unit| tree.code(unit)).unwrap_or_default();
    let name = home.and_then(|unit| tree.get(unit)).map(|info| &info.name);
    let name = name.cloned().unwrap_or_default();
    let filled = telling.subject.replace("{unit}", &code);
    let count = ("count", entries.len().to_string());
    let head = [("unit", code.clone()), ("name", name.clone()), count];
    let mut lines = vec![sentence(lang, "notice-head", &head), String::new()];
    lines.extend(
        entries
            .iter()
            .take(MOST_TOLD)
            .map(|e| format!("- {}", e.line)),
    );
    let rest = entries.len().saturating_sub(MOST_TOLD);
    if rest > 0 {
        lines.push(sentence(
            lang,
            "notice-more",
            &[("count", rest.to_string())],
        ));
    }
    lines.extend([String::new(), sentence(lang, "notice-foot", &[])]);
    let told: Vec<&Value> = entries.iter().take(MOST_TOLD).map(|e| &e.facts).collect();
    let facts = json!({ "unit": code, "unit_name": name, "total": entries.len(), "entries": told });
    let keys: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let draft = Draft {
        channel,
        subject: &filled.replace("{name}", &name),
        text: &(lines.join("\n") + "\n"),
        entries: &facts.to_string(),
    };
    notices::begin(connection, &draft, &keys, node.clock.now_ms())
}

#[cfg(test)]
mod tests;
