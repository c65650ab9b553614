//! `calendar`: what is due, for whom, until when, and what of it came.

use clap::Subcommand;
use serde_json::{Value, json};

use super::list::{Col, col, listed, num, section, tabled};
use super::screen::{Screen, at, items};
use super::{Job, job};
use crate::api::Command;
use crate::t;

/// Units named in one line of a reminder.
const NAMED: usize = 8;

/// Verbs of `calendar`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List the deadlines of a stretch of days: who had to report, what came, on time or late, and what is missing
    ///
    /// Deadlines follow the regimes of the configuration (reporting.regimes). Shown are the units served here and those
    /// directly below.
    #[command(
        after_help = "Examples:\n  nqsync calendar show\n  nqsync calendar show --from 2026-01-01 --to 2026-12-31\n  nqsync calendar show --unit 26548 --json | jq '.items[] | select(.state == \"missing\")'"
    )]
    Show {
        /// Only this unit and those below it
        #[arg(long)]
        unit: Option<String>,
        /// First day, such as 15/3/2026 or 2026-03-15 [default: 31 days ago]
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Last day [default: in 31 days]
        #[arg(long, value_name = "DATE")]
        to: Option<String>,
    },
    /// Show what a person is reminded of today, and the next deadline of every regime
    #[command(after_help = "Example:\n  nqsync calendar today")]
    Today,
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::Show { unit, from, to } => job(Command::CalendarShow { unit, from, to }, show),
            Verb::Today => job(Command::CalendarToday, today),
        }
    }
}

fn counted() -> [Col; 4] {
    [
        num("label-period-expected", |t, s| s.plain(at(t, "expected"))),
        num("label-received", |t, s| s.plain(at(t, "received"))),
        num("label-period-on-time", |t, s| s.plain(at(t, "on_time"))),
        num("label-period-missing", |t, s| s.plain(at(t, "missing"))),
    ]
}

fn regime(item: &Value, screen: &Screen) -> String {
    screen.word("word-regime-", at(item, "regime"))
}

fn state(item: &Value, screen: &Screen) -> String {
    screen.word("word-answered-", at(item, "state"))
}

/// "Before the 11th" ends at midnight: people read the day that is still in time, not the one that is too late.
fn due(item: &Value, screen: &Screen) -> String {
    let due = screen.time(at(item, "due"));
    match (due.ends_with(" 00:00"), at(item, "last_day")) {
        (true, Value::String(_)) => screen.time(at(item, "last_day")),
        _ => due,
    }
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let mut columns = vec![
        col("label-regime", regime),
        col("label-period", |t, s| s.plain(at(t, "period"))),
        col("label-due", due),
    ];
    columns.extend(counted());
    columns.push(col("label-state", state));
    let terms = listed(data, screen, None, &columns);
    // Who owes something is what people look for; who reported is in --json.
    let mut owing = Vec::new();
    for term in items(data, "items") {
        for unit in items(term, "units") {
            if at(unit, "missing").as_i64().unwrap_or(0) > 0 {
                let mut unit = unit.clone();
                unit["term"] = json!(at(term, "period"));
                unit["regime"] = json!(at(term, "regime"));
                owing.push(unit);
            }
        }
    }
    if owing.is_empty() {
        return terms;
    }
    let mut columns = vec![
        col("label-unit", |u, s| s.plain(at(u, "unit"))),
        col("label-name", |u, s| s.plain(at(u, "unit_name"))),
        col("label-regime", regime),
        col("label-period", |u, s| s.plain(at(u, "term"))),
    ];
    columns.extend(counted());
    columns.push(col("label-state", state));
    terms
        + &section(
            screen,
            "label-owing",
            &tabled(&owing, screen, None, &columns),
        )
}

pub(super) fn today(data: &Value, screen: &Screen) -> String {
    let next = [
        col("label-regime", regime),
        col("label-period", |t, s| s.plain(at(t, "period"))),
        col("label-due", due),
        num("label-days-left", |t, s| s.plain(at(t, "days_left"))),
    ];
    let mut text = format!("{}\n", screen.time(at(data, "date")));
    let reminded = reminders(items(data, "reminders"), screen);
    text += &match reminded.is_empty() {
        true => format!("\n{}\n", t!(screen.lang, "calendar-nothing")),
        false => reminded,
    };
    let coming = items(data, "next");
    if !coming.is_empty() {
        text += &section(
            screen,
            "label-next-due",
            &tabled(coming, screen, None, &next),
        );
    }
    text
}

/// Deadlines near or missed, with those who owe something; nothing where nobody does.
pub(super) fn reminders(reminders: &[Value], screen: &Screen) -> String {
    if reminders.is_empty() {
        return String::new();
    }
    let columns = [
        col("label-regime", regime),
        col("label-period", |r, s| s.plain(at(r, "period"))),
        col("label-due", due),
        num("label-period-missing", |r, s| s.plain(at(r, "missing"))),
        col("label-owing", owing),
    ];
    section(
        screen,
        "label-reminders",
        &tabled(reminders, screen, None, &columns),
    )
}

fn owing(reminder: &Value, screen: &Screen) -> String {
    let all = items(reminder, "owing");
    let named = all.iter().take(NAMED);
    let mut text: Vec<String> = named.map(|u| screen.plain(at(u, "unit"))).collect();
    let total = at(reminder, "units_owing").as_u64().unwrap_or(0) as usize;
    if total > text.len() {
        text.push(t!(
            screen.lang,
            "calendar-and-more",
            n = (total - text.len()).to_string()
        ));
    }
    text.join(", ")
}
