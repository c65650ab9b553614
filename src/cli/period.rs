//! `period`: a unit's reporting period, submitted by the unit and decided by the unit above.

use clap::{Args, Subcommand};
use nqsync_core::period::Step;
use serde_json::Value;

use super::list::{Col, col, listed, num, section, tabled};
use super::output::written;
use super::screen::{Screen, at, items};
use super::{Job, job};
use crate::api::Command;
use crate::t;

/// Verbs of `period`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List the units here and directly below: what was due and came, where the period stands, since when, by whom
    #[command(
        after_help = "Examples:\n  nqsync period list --period 2026-03\n  nqsync period list --json | jq '.items[] | select(.overdue)'"
    )]
    List {
        /// Only this unit and those below it
        #[arg(long)]
        unit: Option<String>,
        #[command(flatten)]
        when: When,
    },
    /// Show one unit's period with its history, and what changed since it was submitted or closed
    #[command(after_help = "Example:\n  nqsync period show 26548 --period 2026-03")]
    Show {
        /// Unit: code, name or alias [default: the unit acted for]
        unit: Option<String>,
        #[command(flatten)]
        when: When,
    },
    /// Say that the reports of the unit acted for are in
    ///
    /// It may be said again after a correction; the unit above then answers the new submission.
    #[command(after_help = "Example:\n  nqsync period submit --period 2026-03")]
    Submit {
        #[command(flatten)]
        when: When,
    },
    /// Accept what a unit below submitted
    #[command(after_help = "Example:\n  nqsync period accept 26548 --period 2026-03")]
    Accept {
        #[command(flatten)]
        whose: Whose,
        /// A remark for the unit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Return what a unit below submitted, to be corrected
    #[command(
        after_help = "Example:\n  nqsync period return 26548 --period 2026-03 --reason \"III/12 does not add up\""
    )]
    Return {
        #[command(flatten)]
        whose: Whose,
        /// What is to be corrected; the unit reads it
        #[arg(long)]
        reason: String,
    },
    /// Close the period of units below, after consolidation: nobody writes into it any more
    #[command(
        after_help = "Examples:\n  nqsync period close 26548 --period 2026-03\n  nqsync period close --all --period 2026-03"
    )]
    Close {
        #[command(flatten)]
        whose: Whose,
        /// A remark for the units
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take in what came after a period was closed, as a new version of its figures
    ///
    /// Figures of a closed period stay as they are until somebody does this. The earlier version stays readable:
    /// rollup show --version.
    #[command(
        after_help = "Examples:\n  nqsync period restate 2026-03 --unit 26548 --preview\n  nqsync period restate 2026-03 --unit 26548 --reason \"annex 2 corrected\"\n  nqsync period restate 2026-03 --reason \"our own figures, closed by the level above\""
    )]
    Restate {
        /// Reporting period: 2026-03, 2026-Q2, 2026
        period: String,
        /// Whose late changes are taken in [default: the unit acted for]
        #[arg(long)]
        unit: Option<String>,
        /// Why; the level above reads it
        #[arg(long, required_unless_present = "preview")]
        reason: Option<String>,
        /// Only show which numbers would move
        #[arg(long)]
        preview: bool,
    },
    /// Open a closed period again
    #[command(
        after_help = "Example:\n  nqsync period reopen 26548 --period 2026-03 --reason \"wrong annex\""
    )]
    Reopen {
        #[command(flatten)]
        whose: Whose,
        /// Why; it is kept in the audit
        #[arg(long)]
        reason: String,
    },
}

/// Which period.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct When {
    /// Reporting period: 2026-W12, 2026-03, 2026-Q2, 2026 [default: the current one]
    #[arg(long)]
    period: Option<String>,
}

/// Whose period, and which.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct Whose {
    /// Units: codes, names or aliases
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    units: Vec<String>,
    /// All units directly below
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    when: When,
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List { unit, when } => job(
                Command::PeriodList {
                    unit,
                    period: when.period,
                },
                list,
            ),
            Verb::Show { unit, when } => job(
                Command::PeriodShow {
                    unit,
                    period: when.period,
                },
                show,
            ),
            Verb::Submit { when } => job(
                Command::PeriodSubmit {
                    period: when.period,
                },
                written,
            ),
            Verb::Accept { whose, reason } => decide(Step::Accept, whose, reason),
            Verb::Return { whose, reason } => decide(Step::Return, whose, Some(reason)),
            Verb::Close { whose, reason } => decide(Step::Close, whose, reason),
            Verb::Restate {
                period,
                unit,
                reason,
                preview,
            } => job(
                Command::PeriodRestate {
                    period,
                    unit,
                    reason: reason.unwrap_or_default(),
                    preview,
                },
                restated,
            ),
            Verb::Reopen { whose, reason } => decide(Step::Reopen, whose, Some(reason)),
        }
    }
}

fn decide(step: Step, whose: Whose, reason: Option<String>) -> Job {
    let Whose { units, all, when } = whose;
    job(
        Command::PeriodDecide {
            step,
            units,
            all,
            period: when.period,
            reason,
        },
        decided,
    )
}

fn columns() -> [Col; 7] {
    [
        col("label-unit", |p, s| s.plain(at(p, "unit"))),
        num("label-period-expected", |p, s| s.plain(at(p, "expected"))),
        num("label-received", |p, s| s.plain(at(p, "received"))),
        num("label-period-on-time", |p, s| s.plain(at(p, "on_time"))),
        col("label-state", state),
        col("label-since", |p, s| s.time(at(p, "since"))),
        col("label-by", |p, s| s.plain(at(p, "by"))),
    ]
}

/// The state with what a person must know beside it.
fn state(period: &Value, screen: &Screen) -> String {
    let mut words = vec![screen.word("word-period-", at(period, "state"))];
    if at(period, "overdue") == true {
        words.push(screen.label("word-late"));
    }
    if at(period, "in_conflict") == true {
        words.push(screen.label("word-in-conflict"));
    }
    if at(period, "late").as_u64().unwrap_or(0) > 0 {
        words.push(screen.label("word-late-waiting"));
    } else if at(period, "changed_since").as_u64().unwrap_or(0) > 0 {
        words.push(screen.label("word-draft-changed"));
    }
    words.join(", ")
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    let due = format!(
        "{}: {}\n",
        screen.label("label-due"),
        screen.time(at(data, "due"))
    );
    due + &listed(data, screen, None, &columns())
}

fn show(data: &Value, screen: &Screen) -> String {
    let history = [
        col("label-state", |h, s| s.word("word-period-", at(h, "state"))),
        col("label-unit", |h, s| s.plain(at(h, "unit"))),
        col("label-by", |h, s| s.plain(at(h, "by"))),
        col("label-at", |h, s| s.time(at(h, "at"))),
        col("label-reason", |h, s| s.plain(at(h, "reason"))),
    ];
    let part = |label, name, columns: &[Col]| match numbers(items(data, name)).as_slice() {
        [] => String::new(),
        lines => section(screen, label, &tabled(lines, screen, None, columns)),
    };
    let mut brief = data.clone();
    if let Some(fields) = brief.as_object_mut() {
        // Each has a table of its own below.
        fields.retain(|_, value| !value.is_array());
    }
    let mut text = written(&brief, screen);
    text += &section(
        screen,
        "label-history",
        &table(data, "history", &history, screen),
    );
    text += &part("label-period-late", "late", &late());
    text += &part("label-period-would-move", "would_move", &moved());
    for (label, name) in [
        ("label-period-versions", "versions"),
        ("label-period-versions-below", "versions_below"),
    ] {
        text += &part(label, name, &versions());
        for version in items(data, name) {
            let lines = numbers(items(version, "moved"));
            let (lang, number) = (screen.lang, screen.plain(at(version, "version")));
            let unit = screen.plain(either(version, ["issuer", "unit"]));
            text += &match lines.is_empty() {
                true => {
                    let title = t!(
                        lang,
                        "cli-version-moved-nothing",
                        version = number,
                        unit = unit
                    );
                    format!("\n{title}\n")
                }
                false => {
                    let title = t!(lang, "cli-version-moved", version = number, unit = unit);
                    format!("\n{title}\n{}", tabled(&lines, screen, None, &moved()))
                }
            };
        }
    }
    text
}

fn table(data: &Value, name: &str, columns: &[Col], screen: &Screen) -> String {
    match items(data, name) {
        [] => String::new(),
        lines => tabled(lines, screen, None, columns),
    }
}

fn restated(data: &Value, screen: &Screen) -> String {
    let (of_late, of_numbers) = match at(data, "preview") == true {
        true => ("label-period-late", "label-period-would-move"),
        false => ("label-period-taken-in", "label-period-moved"),
    };
    let mut text = section(screen, of_late, &table(data, "late", &late(), screen));
    let lines = numbers(items(data, "moved"));
    if !lines.is_empty() {
        text += &section(screen, of_numbers, &tabled(&lines, screen, None, &moved()));
    }
    text
}

fn either<'a>(item: &'a Value, names: [&str; 2]) -> &'a Value {
    let [first, second] = names.map(|name| at(item, name));
    if first.is_null() { second } else { first }
}

/// The numbers people look at: when the latest report came is told by the table of what came late.
fn numbers(moved: &[Value]) -> Vec<Value> {
    let counts = |line: &&Value| {
        let number = at(line, "number").as_str().unwrap_or_default();
        !number.contains("as_of") && number != "evaluated_on"
    };
    moved.iter().filter(counts).cloned().collect()
}

fn late() -> [Col; 6] {
    [
        col("label-kind", |l, s| s.word("word-kind-", at(l, "kind"))),
        col("label-unit", |l, s| s.plain(at(l, "unit"))),
        col("label-about", |l, s| s.plain(at(l, "title"))),
        col("label-arrived", |l, s| s.time(at(l, "arrived"))),
        col("label-old", |l, s| says(at(l, "from"), s)),
        col("label-new", |l, s| says(at(l, "to"), s)),
    ]
}

/// What is counted of a record, in one cell.
fn says(value: &Value, screen: &Screen) -> String {
    if let Some(accepted) = at(value, "accepted").as_bool() {
        let word = if accepted {
            "word-verdict-accepted"
        } else {
            "word-verdict-rejected"
        };
        return [screen.label(word), screen.plain(at(value, "reason"))]
            .join(" ")
            .trim()
            .to_owned();
    }
    if !at(value, "version").is_null() {
        let version = screen.plain(at(value, "version"));
        return t!(screen.lang, "cli-version", version = version);
    }
    if !at(value, "status").is_null() {
        let percent = match screen.plain(at(value, "percent")) {
            text if text.is_empty() => text,
            text => format!(" {text} %"),
        };
        return screen.word("word-status-", at(value, "status")) + &percent;
    }
    let [part, whole] = ["numerator", "denominator"].map(|name| screen.plain(at(value, name)));
    match (screen.plain(at(value, "value")), part.is_empty()) {
        (number, true) => number,
        (number, false) => format!("{number} ({part}/{whole})").trim().to_owned(),
    }
}

fn versions() -> [Col; 6] {
    [
        num("label-version", |v, s| s.plain(at(v, "version"))),
        col("label-unit", |v, s| s.plain(either(v, ["issuer", "unit"]))),
        col("label-by", |v, s| s.plain(at(v, "by"))),
        col("label-at", |v, s| s.time(at(v, "at"))),
        col("label-reason", |v, s| s.plain(at(v, "reason"))),
        col("label-state", |v, s| match at(v, "taken_in").as_bool() {
            Some(false) => s.label("word-late-waiting"),
            _ => String::new(),
        }),
    ]
}

fn moved() -> [Col; 5] {
    [
        col("label-whose", |m, s| {
            let whose = [either(m, ["indicator", "issuer"]), at(m, "group")];
            let whose = whose.map(|part| s.plain(part));
            whose.join(" ").trim().to_owned()
        }),
        col("label-moved-number", |m, s| s.number_name(at(m, "number"))),
        col("label-unit", |m, s| s.plain(at(m, "unit"))),
        num("label-old", |m, s| side(at(m, "old"), s)),
        num("label-new", |m, s| side(at(m, "new"), s)),
    ]
}

/// One side of a number that moved; a dash where it was not there.
fn side(value: &Value, screen: &Screen) -> String {
    match value {
        Value::Null => "–".to_owned(),
        value => screen.plain(value),
    }
}

/// One decision, or a table of several.
fn decided(data: &Value, screen: &Screen) -> String {
    if data.get("items").is_some() {
        return listed(data, screen, None, &columns());
    }
    written(data, screen)
}
