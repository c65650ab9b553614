//! `conflict`: fields that were written differently at two places of one unit.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, num, section, tabled};
use super::output::written;
use super::proposal::shown;
use super::screen::{Screen, at, items};
use super::{Job, failure, job};
use crate::api::{Command, Exit, Failure, Lang};
use crate::t;

/// Verbs of `conflict`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List conflicts
    #[command(after_help = "Example:\n  nqsync conflict list")]
    List,
    /// Show one: every value, who wrote it, when, from which unit, and what it was based on
    #[command(after_help = "Example:\n  nqsync conflict show report:0192f3c8:progress")]
    Show {
        /// As `conflict list` shows it
        conflict: String,
    },
    /// Settle one for good, everywhere
    #[command(after_help = "Examples:\n  nqsync conflict resolve report:0192f3c8:result --take 2\n  nqsync conflict resolve report:0192f3c8:result --value \"Đã hoàn thành\" --reason \"agreed by phone\"", group = clap::ArgGroup::new("what").required(true))]
    Resolve {
        /// As `conflict list` shows it
        conflict: String,
        /// Take the value with this number in `conflict show`
        #[arg(long, group = "what", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        take: Option<u16>,
        /// Write another value: text, or JSON when it begins with { [ or "
        #[arg(long, group = "what")]
        value: Option<String>,
        /// Why; kept in the history
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Verb {
    pub(super) fn job(self, lang: Lang) -> Result<Job, Failure> {
        Ok(match self {
            Verb::List => job(Command::ConflictList, list),
            Verb::Show { conflict } => job(Command::ConflictShow { conflict }, show),
            Verb::Resolve {
                conflict,
                take,
                value,
                reason,
            } => {
                let value = value.map(|text| typed(&text, lang)).transpose()?;
                job(
                    Command::ConflictResolve {
                        conflict,
                        take: take.map(usize::from),
                        value,
                        reason,
                        token: None,
                    },
                    written,
                )
            }
        })
    }
}

fn typed(text: &str, lang: Lang) -> Result<Value, Failure> {
    if !text.starts_with(['{', '[', '"']) {
        return Ok(Value::String(text.into()));
    }
    serde_json::from_str(text).map_err(|error| {
        failure(
            Exit::Usage,
            "bad_json",
            t!(lang, "err-bad-json", reason = error),
        )
    })
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    // The id is what `show` and `resolve` take: it stands first, in a line of its own, unbroken.
    let conflicts = items(data, "items");
    if conflicts.is_empty() {
        return format!("{}\n", t!(screen.lang, "cli-no-conflicts"));
    }
    let mut text = String::new();
    for conflict in conflicts {
        text += &format!("{}\n", screen.plain(at(conflict, "id")));
        text += &screen.facts(&[
            ("label-task", screen.plain(at(conflict, "title"))),
            (
                "label-field",
                screen.word("word-register-", at(conflict, "register")),
            ),
            ("label-unit", screen.plain(at(conflict, "unit"))),
            ("label-values", screen.plain(at(conflict, "values"))),
            ("label-since", screen.time(at(conflict, "since"))),
        ]);
        text.push('\n');
    }
    let total = screen.count(conflicts.len() as i64);
    text + &format!("{}\n", t!(screen.lang, "cli-total", n = total))
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let mut text = format!("{}\n", screen.plain(at(data, "id")));
    text += &screen.facts(&[
        ("label-task", screen.plain(at(data, "title"))),
        (
            "label-field",
            screen.word("word-register-", at(data, "register")),
        ),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-base", shown(at(data, "base"), screen)),
        ("label-since", screen.time(at(data, "since"))),
    ]);
    let columns = [
        num("label-n", |v, s| s.plain(at(v, "n"))),
        col("label-value", |v, s| shown(at(v, "value"), s)),
        col("label-by", |v, s| s.plain(at(v, "by"))),
        col("label-unit", |v, s| s.plain(at(v, "unit"))),
        col("label-at", |v, s| s.time(at(v, "at"))),
    ];
    text += &section(
        screen,
        "label-values",
        &tabled(items(data, "siblings"), screen, None, &columns),
    );
    text + &format!("\n{}\n", t!(screen.lang, "cli-how-to-resolve"))
}
