//! `task`: what was assigned, to whom, until when.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::list::{col, listed, section, tabled};
use super::output::written;
use super::screen::{Screen, at, items, short_ids};
use super::{Job, job, report};
use crate::api::{Command, TaskFields};

/// Verbs of `task`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List tasks
    #[command(
        after_help = "Examples:\n  nqsync task list --group III\n  nqsync task list --unit 26548 --period 2026-03\n  nqsync task list --unresolved        tasks whose lead no known unit carries"
    )]
    List {
        /// Only tasks this unit leads or coordinates
        #[arg(long)]
        unit: Option<String>,
        /// Only this section
        #[arg(long)]
        group: Option<String>,
        /// Only tasks issued by this unit
        #[arg(long, value_name = "UNIT")]
        issuer: Option<String>,
        /// Only tasks with a lead that is not linked to a unit
        #[arg(long)]
        unresolved: bool,
        /// Status in this period [default: the current one]
        #[arg(long)]
        period: Option<String>,
    },
    /// Show one task with reports, receipts, what is unclear, and the history of every field
    #[command(
        after_help = "Examples:\n  nqsync task show III/12\n  nqsync task show 0192f3c8 --json | jq -r .token"
    )]
    Show {
        /// Its id, the beginning of it, or GROUP/NUMBER
        task: String,
    },
    /// Issue a new task
    #[command(
        after_help = "Example:\n  nqsync task add --group III --number 12 --title \"Số hoá hồ sơ\" --deliverable \"Báo cáo\" \\\n    --lead PV01 --coordinating \"26548;26551\" --deadline \"Quý II/2026\""
    )]
    Add {
        #[command(flatten)]
        fields: FieldArgs,
    },
    /// Change a task that was issued here; what is not named stays as it is
    #[command(
        after_help = "Examples:\n  nqsync task update III/12 --deadline 30/06/2026\n  nqsync task update III/12 --lead PC06 --token TOKEN     only if nobody changed it since TOKEN was shown"
    )]
    Update {
        /// Its id, the beginning of it, or GROUP/NUMBER
        task: String,
        #[command(flatten)]
        fields: FieldArgs,
        /// The token of `task show`: a change made since then becomes a conflict, never an overwrite
        #[arg(long)]
        token: Option<String>,
    },
    /// Withdraw a task; it stays visible as withdrawn
    #[command(
        after_help = "Example:\n  nqsync task withdraw III/12 --reason \"merged into III/11\""
    )]
    Withdraw {
        /// Its id, the beginning of it, or GROUP/NUMBER
        task: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Lower the level of secrecy of a task: a new task in the store of that level, with nothing that names this one
    ///
    /// What is read here, text and units, stands there from then on: look at it first. Both stores write down who did it; the
    /// reason stays here.
    #[command(
        after_help = "Example:\n  nqsync task lower III/12 --to none --reason \"Công văn 45 ngày 02/03/2026\" --classification confidential"
    )]
    Lower {
        /// Its id, the beginning of it, or GROUP/NUMBER
        task: String,
        /// The lower level
        #[arg(long, value_name = "LEVEL")]
        to: String,
        /// Why, with the decision it rests on
        #[arg(long)]
        reason: String,
    },
}

/// The fields of a task; an empty text clears one.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct FieldArgs {
    /// Section code, such as III
    #[arg(long)]
    group: Option<String>,
    /// Section title
    #[arg(long)]
    group_title: Option<String>,
    /// Number inside the section
    #[arg(long)]
    number: Option<String>,
    /// The general task (column 1)
    #[arg(long)]
    title: Option<String>,
    /// The sub-task (column 2)
    #[arg(long)]
    subtask: Option<String>,
    /// The mandatory deliverable (column 3)
    #[arg(long)]
    deliverable: Option<String>,
    /// The quantitative target (column 4)
    #[arg(long)]
    kpi: Option<String>,
    /// Lead unit: code, name or alias; several with ; or by repeating
    #[arg(long, value_name = "UNIT", value_delimiter = ';')]
    lead: Option<Vec<String>>,
    /// Coordinating units, as with --lead
    #[arg(long, value_name = "UNIT", value_delimiter = ';')]
    coordinating: Option<Vec<String>>,
    /// Deadline as people write it: 15/03/2026, "Tháng 3/2026", "Quý II/2026", "thường xuyên"
    #[arg(long)]
    deadline: Option<String>,
    /// Programme it belongs to
    #[arg(long)]
    programme: Option<String>,
    /// Responsible person
    #[arg(long)]
    responsible: Option<String>,
    /// Deciding authority or legal basis
    #[arg(long)]
    authority: Option<String>,
    /// Task this one is a part of; only for a new one
    #[arg(long, value_name = "TASK")]
    parent: Option<String>,
    /// Who verifies evidence: issuer or above
    #[arg(long)]
    reviewer: Option<String>,
}

impl From<FieldArgs> for TaskFields {
    fn from(args: FieldArgs) -> TaskFields {
        let names = |list: Option<Vec<String>>| {
            list.map(|l| {
                l.iter()
                    .map(|n| n.trim().to_owned())
                    .filter(|n| !n.is_empty())
                    .collect()
            })
        };
        TaskFields {
            group: args.group,
            group_title: args.group_title,
            number: args.number,
            title: args.title,
            subtask: args.subtask,
            deliverable: args.deliverable,
            kpi: args.kpi,
            lead: names(args.lead),
            coordinating: names(args.coordinating),
            deadline: args.deadline,
            programme: args.programme,
            responsible: args.responsible,
            authority: args.authority,
            parent: args.parent,
            classification: None,
            reviewer: args.reviewer,
        }
    }
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List {
                unit,
                group,
                issuer,
                unresolved,
                period,
            } => job(
                Command::TaskList {
                    unit,
                    group,
                    issuer,
                    unresolved,
                    period,
                    narrowed: Default::default(),
                },
                list,
            ),
            Verb::Show { task } => job(Command::TaskShow { task }, show),
            Verb::Add { fields } => job(
                Command::TaskAdd {
                    fields: fields.into(),
                },
                written,
            ),
            Verb::Update {
                task,
                fields,
                token,
            } => job(
                Command::TaskUpdate {
                    task,
                    fields: fields.into(),
                    token,
                },
                written,
            ),
            Verb::Withdraw { task, reason } => job(Command::TaskWithdraw { task, reason }, written),
            Verb::Lower { task, to, reason } => {
                job(Command::TaskLower { task, to, reason }, written)
            }
        }
    }
}

/// What people type for each task of a list: `GROUP/NUMBER` where that names one, otherwise the beginning of its id.
pub(super) fn refs(tasks: &[Value]) -> Vec<String> {
    let name = |task: &Value| match (at(task, "group").as_str(), at(task, "number").as_str()) {
        (Some(group), Some(number)) if !group.is_empty() && !number.is_empty() => {
            Some(super::screen::clean(&format!("{group}/{number}")))
        }
        _ => None,
    };
    let names: Vec<Option<String>> = tasks.iter().map(name).collect();
    let mut count = std::collections::HashMap::new();
    for name in names.iter().flatten() {
        *count.entry(name.clone()).or_insert(0) += 1;
    }
    let short = short_ids(tasks, "id");
    let chosen =
        |(name, id): (Option<String>, String)| name.filter(|n| count[n] == 1).unwrap_or(id);
    names.into_iter().zip(short).map(chosen).collect()
}

/// Lead units, and after them the names that no known unit carries.
pub(super) fn lead(task: &Value, screen: &Screen) -> String {
    let mut units = vec![screen.plain(at(task, "lead"))];
    units.extend(
        items(task, "lead_unresolved")
            .iter()
            .map(|name| format!("? {}", screen.plain(name))),
    );
    units.retain(|unit| !unit.is_empty());
    units.join(", ")
}

/// The deadline as it was written, and the day it means where the text does not say it.
pub(super) fn deadline(task: &Value, screen: &Screen) -> String {
    let text = screen.plain(at(task, "deadline.text"));
    let due = screen.time(at(task, "deadline.due"));
    match (text.is_empty(), due.is_empty() || text.contains(&due)) {
        (true, _) => due,
        (false, true) => text,
        (false, false) => format!("{text} ({due})"),
    }
}

pub(super) fn state(task: &Value, screen: &Screen) -> String {
    match at(task, "withdrawn").as_bool() {
        Some(true) => screen.label("word-status-withdrawn"),
        _ => screen.word("word-status-", at(task, "status")),
    }
}

fn title(task: &Value, screen: &Screen) -> String {
    let (title, subtask) = (
        screen.plain(at(task, "title")),
        screen.plain(at(task, "subtask")),
    );
    if title.is_empty() || subtask.is_empty() {
        title + &subtask
    } else {
        format!("{title}: {subtask}")
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        Some(refs(items(data, "items"))),
        &[
            col("label-task", title),
            col("label-lead", lead),
            col("label-deadline", deadline),
            col("label-status", state),
        ],
    )
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let group = [at(data, "group"), at(data, "group_title")].map(|v| screen.plain(v));
    let missing = items(data, "missing")
        .iter()
        .map(|m| screen.word("word-clear-", m));
    let mut shown = screen.facts(&[
        ("label-id", screen.plain(at(data, "id"))),
        ("label-group", group.join(" ").trim().to_owned()),
        ("label-number", screen.plain(at(data, "number"))),
        ("label-task", screen.plain(at(data, "title"))),
        ("label-subtask", screen.plain(at(data, "subtask"))),
        ("label-deliverable", screen.plain(at(data, "deliverable"))),
        ("label-kpi", screen.plain(at(data, "kpi"))),
        ("label-lead", lead(data, screen)),
        ("label-coordinating", screen.plain(at(data, "coordinating"))),
        ("label-deadline", deadline(data, screen)),
        ("label-programme", screen.plain(at(data, "programme"))),
        ("label-responsible", screen.plain(at(data, "responsible"))),
        ("label-authority", screen.plain(at(data, "authority"))),
        ("label-issuer", screen.plain(at(data, "issuer"))),
        ("label-status", state(data, screen)),
        ("label-missing", missing.collect::<Vec<_>>().join(", ")),
        ("label-conflicts", screen.plain(at(data, "conflicts"))),
        ("label-proposals", count_of(data, "proposals", screen)),
    ]);
    let reports = items(data, "reports");
    if !reports.is_empty() {
        shown += &section(
            screen,
            "label-reports",
            &tabled(reports, screen, None, &report::columns()),
        );
    }
    let receipts = items(data, "receipts");
    if !receipts.is_empty() {
        let columns = [
            col("label-unit", |r, s| s.plain(at(r, "unit"))),
            col("label-receipt", |r, s| {
                s.word("word-receipt-", at(r, "stage"))
            }),
            col("label-at", |r, s| s.time(at(r, "at"))),
        ];
        shown += &section(
            screen,
            "label-receipts",
            &tabled(receipts, screen, None, &columns),
        );
    }
    shown + &history(data, screen)
}

fn count_of(data: &Value, path: &str, screen: &Screen) -> String {
    match items(data, path).len() {
        0 => String::new(),
        n => screen.count(n as i64),
    }
}

/// Every value every field had, the present ones marked.
pub(super) fn history(data: &Value, screen: &Screen) -> String {
    let writes = items(data, "history");
    if writes.is_empty() {
        return String::new();
    }
    let columns = [
        col("label-field", |w, s| {
            s.word("word-register-", at(w, "register"))
        }),
        col("label-value", |w, s| {
            super::proposal::shown(at(w, "value"), s)
        }),
        col("label-by", |w, s| s.plain(at(w, "by"))),
        col("label-unit", |w, s| s.plain(at(w, "unit"))),
        col("label-at", |w, s| s.time(at(w, "at"))),
        col("label-current", |w, s| {
            if at(w, "current") == true {
                s.label("word-yes")
            } else {
                String::new()
            }
        }),
    ];
    section(
        screen,
        "label-history",
        &tabled(writes, screen, None, &columns),
    )
}
