//! The table of requests: which one is which verb of the command contract.

use std::sync::LazyLock;

use axum::http::Method;

use super::answers::{
    Conflict, ConflictShown, Evidence, FigureWritten, Indicator, IndicatorWritten, Period,
    PeriodShown, PeriodsDecided, Proposal, Report, ReportShown, ReportWritten, Rollup, Settled,
    Status, Task, TaskShown, TaskWritten, Unit, UnitShown, Verdict, Warning, Written,
};
use super::asked;
use super::asked::Nothing;
use super::operations::{
    Ask, Does, Operation, Shape, decision, fields, list, on_figure, on_report, on_task, one, read,
    schema, write,
};
use crate::api::{Command, Narrowed, TaskFields};

/// Every kind of request, but for the document itself.
pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let all = [
        tasks(),
        reports(),
        files(),
        indicators(),
        decisions(),
        periods(),
    ];
    all.into_iter().flatten().collect()
});

const POST: (Method, Shape) = (Method::POST, Shape::Written);
const CREATE: (Method, Shape) = (Method::POST, Shape::Created);
const PATCH: (Method, Shape) = (Method::PATCH, Shape::Written);
const PUT: (Method, Shape) = (Method::PUT, Shape::Written);

/// The address of a report.
const REPORT: &str = "/v1/tasks/{task}/reports/{unit}/{period}";

fn tasks() -> Vec<Operation> {
    vec![
        one::<Status>("/v1/status", "get_status", "Health of this node", |_, _| {
            Command::Status
        }),
        list::<asked::Units, Unit>("/v1/units", "list_units", "Units", |_, q| {
            Command::UnitList { under: q.under }
        }),
        one::<UnitShown>("/v1/units/{unit}", "get_unit", "One unit", |named, _| {
            Command::UnitShow {
                unit: named.part("unit"),
            }
        }),
        list::<asked::Tasks, Task>("/v1/tasks", "list_tasks", "Tasks held here", |_, q| {
            Command::TaskList {
                unit: q.unit,
                group: q.group,
                issuer: q.issuer,
                unresolved: q.unresolved,
                period: q.period,
                narrowed: Narrowed {
                    text: q.text,
                    status: q.status,
                    ..Narrowed::default()
                },
            }
        }),
        write::<TaskFields, TaskWritten>(
            CREATE,
            "/v1/tasks",
            "add_task",
            "Issues a task",
            |_, fields| Command::TaskAdd { fields }.into(),
        ),
        one::<TaskShown>(
            "/v1/tasks/{task}",
            "get_task",
            "One task with its reports, receipts and the history of every field",
            |named, _| Command::TaskShow {
                task: named.part("task"),
            },
        ),
        write::<TaskFields, TaskWritten>(
            PATCH,
            "/v1/tasks/{task}",
            "update_task",
            "Changes a task that is owned here",
            |named, fields| {
                let command = Command::TaskUpdate {
                    task: named.part("task"),
                    fields,
                    token: named.mark.clone(),
                };
                on_task(named, command)
            },
        ),
        write::<asked::Because, TaskWritten>(
            POST,
            "/v1/tasks/{task}/withdraw",
            "withdraw_task",
            "Withdraws a task; it stays visible as withdrawn",
            |named, body| {
                let command = Command::TaskWithdraw {
                    task: named.part("task"),
                    reason: body.reason,
                };
                on_task(named, command)
            },
        ),
    ]
}

fn reports() -> Vec<Operation> {
    vec![
        list::<asked::OfTask, Report>(
            "/v1/reports",
            "list_reports",
            "Reports held here",
            |_, q| Command::ReportList {
                task: q.task,
                unit: q.unit,
                period: q.period,
            },
        ),
        one::<ReportShown>(
            REPORT,
            "get_report",
            "One report with its submission, verdicts and history",
            |named, _| Command::ReportShow {
                report: named.report(),
            },
        ),
        write::<asked::Report, ReportWritten>(
            PATCH,
            REPORT,
            "update_report",
            "Writes values into the draft, and submits it if that is asked for",
            |named, body| {
                let command = Command::ReportSet {
                    report: named.report(),
                    fields: body.fields,
                    token: named.mark.clone(),
                    submit: body.submit,
                };
                on_report(named, command)
            },
        ),
        write::<Nothing, ReportWritten>(
            POST,
            "/v1/tasks/{task}/reports/{unit}/{period}/submit",
            "submit_report",
            "Submits the present values as a version",
            |named, _| {
                let report = named.report();
                on_report(named, Command::ReportSubmit { report })
            },
        ),
        write::<asked::Because, ReportWritten>(
            POST,
            "/v1/tasks/{task}/reports/{unit}/{period}/withdraw",
            "withdraw_report",
            "Takes the submission back",
            |named, body| {
                let command = Command::ReportWithdraw {
                    report: named.report(),
                    reason: body.reason,
                };
                on_report(named, command)
            },
        ),
        write::<asked::Decision, Verdict>(
            POST,
            "/v1/tasks/{task}/reports/{unit}/{period}/verdict",
            "judge_report",
            "The reviewer's verdict on the evidence of what was submitted last",
            |named, body| {
                decision(Command::EvidenceVerdict {
                    report: named.report(),
                    accepted: body.accept,
                    reason: body.reason,
                    token: named.mark.clone(),
                })
            },
        ),
    ]
}

fn files() -> Vec<Operation> {
    let bytes = Operation {
        method: Method::GET,
        path: "/v1/evidence/{evidence}/content",
        id: "get_evidence_content",
        summary: "The bytes of an evidence file",
        does: Does::Download,
        shape: Shape::Item,
        query: fields::<Nothing>,
        body: None,
        answer: schema::<()>,
    };
    let add = Operation {
        method: Method::POST,
        path: "/v1/tasks/{task}/reports/{unit}/{period}/evidence",
        id: "add_evidence",
        summary: "Adds a file as evidence; the body is its bytes",
        does: Does::Upload,
        shape: Shape::Created,
        query: fields::<asked::File>,
        body: None,
        answer: schema::<Written<Evidence>>,
    };
    let events = Operation {
        method: Method::GET,
        path: "/v1/events",
        id: "listen",
        summary: "What changes, as it happens; goes on after Last-Event-ID",
        does: Does::Events,
        shape: Shape::Item,
        query: fields::<Nothing>,
        body: None,
        answer: schema::<super::events::Changed>,
    };
    vec![
        list::<asked::OfTask, Evidence>(
            "/v1/evidence",
            "list_evidence",
            "Evidence files",
            |_, q| Command::EvidenceList {
                task: q.task,
                unit: q.unit,
                period: q.period,
            },
        ),
        bytes,
        add,
        write::<asked::Because, Evidence>(
            POST,
            "/v1/evidence/{evidence}/remove",
            "remove_evidence",
            "Takes evidence back",
            |named, body| {
                Command::EvidenceRemove {
                    evidence: named.part("evidence"),
                    reason: body.reason,
                }
                .into()
            },
        ),
        events,
    ]
}

fn indicators() -> Vec<Operation> {
    vec![
        list::<asked::InPeriod, Indicator>(
            "/v1/indicators",
            "list_indicators",
            "Indicators with their values in a period",
            |_, q| Command::IndicatorList {
                period: q.period,
                unit: q.unit,
            },
        ),
        write::<asked::Indicator, IndicatorWritten>(
            CREATE,
            "/v1/indicators",
            "define_indicator",
            "A new indicator for units below",
            |_, body| {
                Command::IndicatorDefine {
                    code: body.code,
                    name: body.name,
                    measure: body.measure,
                    over_time: body.over_time,
                    aggregation: body.aggregation,
                    comparator: body.comparator,
                    target: body.target,
                    units: body.units,
                }
                .into()
            },
        ),
        write::<asked::Figure, FigureWritten>(
            PUT,
            "/v1/indicators/{indicator}/values/{unit}/{period}",
            "set_indicator_value",
            "A unit's value in a period",
            |named, body| {
                let command = Command::IndicatorSet {
                    indicator: named.part("indicator"),
                    unit: Some(named.part("unit")),
                    period: Some(named.part("period")),
                    value: body.value,
                    numerator: body.numerator,
                    denominator: body.denominator,
                    token: named.mark.clone(),
                };
                on_figure(named, command)
            },
        ),
        read::<asked::Rollups, Rollup>(
            Shape::Item,
            "/v1/rollups",
            "get_rollup",
            "Counts of tasks and assignments, with coverage and as-of",
            |_, q| Command::RollupShow {
                period: q.period,
                unit: q.unit,
                by: q.by,
                recompute: false,
                version: q.version,
            },
        ),
        list::<asked::Warnings, Warning>(
            "/v1/warnings",
            "list_warnings",
            "Red warnings",
            |_, q| Command::WarningList {
                unit: q.unit,
                kind: q.kind,
                all: q.all,
                offset: 0,
                limit: None,
            },
        ),
    ]
}

fn decisions() -> Vec<Operation> {
    vec![
        list::<Nothing, Conflict>(
            "/v1/conflicts",
            "list_conflicts",
            "Fields with two or more different values",
            |_, _| Command::ConflictList,
        ),
        one::<ConflictShown>(
            "/v1/conflicts/{conflict}",
            "get_conflict",
            "One conflict: the values, who, when, and what they were based on",
            |named, _| Command::ConflictShow {
                conflict: named.part("conflict"),
            },
        ),
        write::<asked::Settled, Settled>(
            POST,
            "/v1/conflicts/{conflict}/resolve",
            "resolve_conflict",
            "Settles a conflict with one of its values or with another",
            |named, body| {
                decision(Command::ConflictResolve {
                    conflict: named.part("conflict"),
                    take: body.take,
                    value: body.value,
                    reason: body.reason,
                    token: named.mark.clone(),
                })
            },
        ),
        list::<asked::Proposals, Proposal>(
            "/v1/proposals",
            "list_proposals",
            "Wishes to change what another unit owns, made here or to be answered here",
            |_, q| Command::ProposalList { open_only: q.open },
        ),
        write::<asked::Wished, Proposal>(
            CREATE,
            "/v1/proposals",
            "make_proposal",
            "Asks the owner of a task for another value of a field",
            |_, body| {
                Command::ProposalMake {
                    task: body.task,
                    field: body.field,
                    value: body.value,
                    reason: body.reason,
                }
                .into()
            },
        ),
        write::<asked::Decision, Proposal>(
            POST,
            "/v1/proposals/{proposal}/decide",
            "decide_proposal",
            "Answers a proposal; accepting also writes the value",
            |named, body| {
                decision(Command::ProposalDecide {
                    proposal: named.part("proposal"),
                    accept: body.accept,
                    reason: body.reason,
                    token: named.mark.clone(),
                })
            },
        ),
        write::<asked::Perhaps, Proposal>(
            POST,
            "/v1/proposals/{proposal}/withdraw",
            "withdraw_proposal",
            "Takes an own proposal back",
            |named, body| {
                Command::ProposalWithdraw {
                    proposal: named.part("proposal"),
                    reason: body.reason,
                }
                .into()
            },
        ),
    ]
}

fn periods() -> Vec<Operation> {
    vec![
        list::<asked::InPeriod, Period>(
            "/v1/periods",
            "list_periods",
            "Where the reports of a period stand, unit by unit",
            |_, q| Command::PeriodList {
                unit: q.unit,
                period: q.period,
            },
        ),
        one::<PeriodShown>(
            "/v1/periods/{period}/{unit}",
            "get_period",
            "One unit's period with its history",
            |named, _| Command::PeriodShow {
                unit: Some(named.part("unit")),
                period: Some(named.part("period")),
            },
        ),
        write::<Nothing, Period>(
            POST,
            "/v1/periods/{period}/{unit}/submit",
            "submit_period",
            "Says that the reports of the unit are in",
            |named, _| {
                let command = Command::PeriodSubmit {
                    period: Some(named.part("period")),
                };
                Ask {
                    acting_for: Some(named.part("unit")),
                    ..command.into()
                }
            },
        ),
        write::<asked::PeriodDecision, PeriodsDecided>(
            POST,
            "/v1/periods/{period}/decide",
            "decide_periods",
            "What the unit above decides about units directly below",
            |named, body| {
                Command::PeriodDecide {
                    step: body.step.into(),
                    units: body.units,
                    all: body.all,
                    period: Some(named.part("period")),
                    reason: body.reason,
                }
                .into()
            },
        ),
    ]
}
