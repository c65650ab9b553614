//! The command line as clap understands it: global flags, and one variant per group of verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    adapter, approval, audit, backup, bundle, calendar, classification, conflict, demo, directive,
    doctor, evidence, export, fleet, hold, import, indicator, node, period, proposal, quarantine,
    report, restore, rollup, score, setup, shell, sync, task, token, unit, user, verify, warning,
    workbook,
};
use crate::api::{self, Lang};

/// Keeps the tasks, progress, evidence and rollups of a commune, a province and a ministry in agreement, offline first.
#[derive(Debug, Parser)]
#[command(name = "nqsync", version, max_term_width = 100, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  nqsync demo                                             three levels on this machine, in a minute
  nqsync init --unit 26548 --level commune --dir /srv/nq  a new node
  nqsync run --dir /srv/nq                                its service
  nqsync status --dir /srv/nq                             is all well?
  nqsync report set III/12 --status completed --percent 100 --submit

Exit codes:
  0 done  1 failed  2 wrong usage  3 done in part  4 degraded  5 unreachable, try again
  6 refused  7 a person must decide  10 not initialised  11 locked  12 authentication
  78 configuration  130 interrupted";

/// Flags that every verb takes, before or after it.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration file [default: $NQSYNC_CONFIG, else /etc/nqsync/config.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "dir",
        help_heading = "Everywhere"
    )]
    pub config: Option<PathBuf>,
    /// The node's directory: short for --config DIR/config.toml
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub dir: Option<PathBuf>,
    /// Override one key of the configuration; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Everywhere")]
    pub set: Vec<(String, String)>,
    /// Language of messages [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub lang: Option<LangArg>,
    /// Print data as one JSON document, messages to standard error
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Who is at the keyboard, written into every change [default: $USER]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub person: Option<String>,
    /// A user of this node, proved by the password: for acts that need two persons
    #[arg(
        long,
        global = true,
        value_name = "USER",
        conflicts_with = "person",
        help_heading = "Everywhere"
    )]
    pub login: Option<String>,
    /// File whose first line is that password, or - for standard input [default: asked for at the terminal]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "login",
        help_heading = "Everywhere"
    )]
    pub login_file: Option<PathBuf>,
    /// The unit acted for [default: the unit this node serves]
    #[arg(
        long = "for",
        global = true,
        value_name = "UNIT",
        help_heading = "Everywhere"
    )]
    pub acting_for: Option<String>,
    /// The store of this level of secrecy: none, confidential (Mật), secret (Tối mật), top_secret (Tuyệt mật) [default: none]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Everywhere")]
    pub classification: Option<String>,
    /// Repeat a verb safely: the same id gets the first result again [default: a new id]
    #[arg(long, global = true, value_name = "ID", help_heading = "Everywhere")]
    pub request_id: Option<String>,
}

/// `vi` or `en`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LangArg {
    /// Vietnamese
    Vi,
    /// English
    En,
}

impl From<LangArg> for Lang {
    fn from(lang: LangArg) -> Lang {
        match lang {
            LangArg::Vi => Lang::Vi,
            LangArg::En => Lang::En,
        }
    }
}

/// A report as it is named on the command line.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Task: its id, the beginning of it, or GROUP/NUMBER
    pub task: String,
    /// Unit that reports: code, name or alias [default: the unit acted for]
    #[arg(long)]
    pub unit: Option<String>,
    /// Reporting period: 2026-03, 2026-Q2, 2026 [default: the current one]
    #[arg(long)]
    pub period: Option<String>,
}

impl From<ReportArgs> for api::ReportRef {
    fn from(args: ReportArgs) -> api::ReportRef {
        api::ReportRef {
            task: args.task,
            unit: args.unit,
            period: args.period,
        }
    }
}

/// The groups of verbs.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    Init(setup::InitArgs),
    /// Run this node's service until it is told to stop
    ///
    /// SIGTERM ends it in order, SIGHUP makes it read its configuration again. systemd: nqsync.service.
    #[command(
        after_help = "Examples:\n  nqsync run --dir /srv/nq\n  nqsync run --config /etc/nqsync/config.toml --set log.level=debug"
    )]
    Run,
    Sync(sync::SyncArgs),
    /// Show this node's health on one screen; exit 4 when something is wrong
    ///
    /// Links above and below, what waits to be sent, conflicts, quarantine, evidence files, disk, and every problem with
    /// since when it lasts.
    #[command(
        after_help = "Examples:\n  nqsync status\n  nqsync status --json | jq .upstream.state"
    )]
    Status,
    Doctor(doctor::DoctorArgs),
    Verify(verify::VerifyArgs),
    Backup(backup::BackupArgs),
    /// Show who did what, and prove that nobody changed it afterwards
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Carry data on a medium where no line may join two nodes: export, import, show
    #[command(subcommand)]
    Bundle(bundle::Verb),
    Restore(restore::RestoreArgs),
    Adopt(restore::AdoptArgs),
    /// Nodes below this one: list, invite, show, cut off
    #[command(subcommand)]
    Node(node::Verb),
    /// A new version for the nodes below: offer, show, install
    #[command(subcommand)]
    Fleet(fleet::Verb),
    Enrol(setup::EnrolArgs),
    /// Units: list, show, add, rename, give another name
    #[command(subcommand)]
    Unit(unit::Verb),
    /// Tasks: list, show, issue, change, withdraw
    #[command(subcommand)]
    Task(task::Verb),
    /// Progress reports: list, show, write, submit, take back
    #[command(subcommand)]
    Report(report::Verb),
    /// Evidence files: add, list, fetch, take back, and the reviewer's verdict
    #[command(subcommand)]
    Evidence(evidence::Verb),
    /// Indicators and their values: list, define, set
    #[command(subcommand)]
    Indicator(indicator::Verb),
    /// Directive documents: list, add, show
    #[command(subcommand)]
    Directive(directive::Verb),
    /// Wishes to change what another unit owns: list, make, withdraw, accept, reject
    #[command(subcommand)]
    Proposal(proposal::Verb),
    /// Reporting periods: list, show, submit, and the decisions of the unit above
    #[command(subcommand)]
    Period(period::Verb),
    /// What is due, for whom, until when, and what of it came: show, today
    #[command(subcommand)]
    Calendar(calendar::Verb),
    /// Red warnings about tasks: list, show, silence with a reason
    #[command(subcommand)]
    Warning(warning::Verb),
    /// Counts of tasks by group, unit or issuer, with coverage and as-of
    #[command(subcommand)]
    Rollup(rollup::Verb),
    /// Units by points and place, with the numbers behind each point
    #[command(subcommand)]
    Score(score::Verb),
    /// Fields written differently at two places: list, show, resolve
    #[command(subcommand)]
    Conflict(conflict::Verb),
    /// Records set aside with their reason: list, show, retry, drop
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Mass changes that wait for a person: list, show, release, refuse, undo
    #[command(subcommand)]
    Hold(hold::Verb),
    /// Acts that need two persons: list, show, approve, refuse
    #[command(subcommand)]
    Approval(approval::Verb),
    /// Who may log in at the console: list, add, change, take away
    #[command(subcommand)]
    User(user::Verb),
    /// Programs that may use the local API: list, let in, take back
    #[command(subcommand)]
    Token(token::Verb),
    /// Stores of an isolated node for what is above none: make one, list them
    #[command(subcommand)]
    Classification(classification::Verb),
    /// Outside systems that hold the same data: list, show, try, exchange
    #[command(subcommand)]
    Adapter(adapter::Verb),
    Export(export::ExportArgs),
    Workbook(workbook::WorkbookArgs),
    Import(import::ImportArgs),
    /// Check or show the configuration, or print its JSON schema
    #[command(subcommand)]
    Config(setup::ConfigVerb),
    Demo(demo::DemoArgs),
    Completions(shell::CompletionArgs),
    Man(shell::ManArgs),
    /// Reads one table file for its parent process
    #[command(hide = true)]
    ParseWorker,
    /// Evaluates mappings for its parent process
    #[command(hide = true)]
    MapWorker,
}

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as log.level=debug".into()),
    }
}
