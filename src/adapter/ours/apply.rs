//! Writing what changed outside into our records, by the same verbs that people use.

use serde_json::Value;
use uuid::Uuid;

use super::{About, Fields};
use crate::api::{Command, Lang, ReportFields, ReportRef, Request, TaskFields};
use crate::node::commands::{Said, Writing, verbs};
use crate::node::{Node, Refusal};
use crate::store::Tx;

/// Values from outside for one of our records.
#[derive(Clone, Debug)]
pub struct Change {
    /// The record.
    pub about: About,
    /// The values, in our notation; an empty one empties its field.
    pub fields: Fields,
    /// The state they are based on; `None`: what is shown now, empty: they had seen nothing.
    pub token: Option<String>,
    /// Whether a report is submitted as well.
    pub submit: bool,
    /// The unit acted for: its code.
    pub acting_for: Option<String>,
    /// The author: a person, or `adapter:NAME`.
    pub author: String,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The record.
    pub record: Uuid,
    /// Why a report filled from outside could not be submitted; its values are kept as a draft.
    pub not_submitted: Option<String>,
}

/// Writes the values, inside the caller's transaction.
pub fn apply(
    node: &Node,
    tx: &mut Tx<'_>,
    change: &Change,
    lang: Lang,
) -> Result<Applied, Refusal> {
    let said = carry_out(node, tx, change, lang, command(change, false))?;
    let record = said.data["id"].as_str().and_then(|id| id.parse().ok());
    let mut applied = Applied {
        record: record.unwrap_or_default(),
        not_submitted: None,
    };
    if change.submit && matches!(change.about, About::Report { .. }) {
        // A refused submission has written nothing yet: the draft of before stays in this transaction.
        if let Err(refusal) = carry_out(node, tx, change, lang, command(change, true)) {
            let failure = crate::node::commands::refuse(lang, refusal);
            applied.not_submitted = Some(failure.message);
        }
    }
    Ok(applied)
}

fn carry_out(
    node: &Node,
    tx: &mut Tx<'_>,
    change: &Change,
    lang: Lang,
    command: Option<Command>,
) -> Result<Said, Refusal> {
    let Some(command) = command else {
        let detail = "it is gathered from many records".to_owned();
        return Err(Refusal::usage("unwritable", [("detail", detail)]));
    };
    let request = Request {
        request_id: String::new(),
        lang,
        person: change.author.clone(),
        asker: Default::default(),
        acting_for: change.acting_for.clone(),
        command,
    };
    verbs::write_verb(&mut Writing {
        node,
        tx,
        now_ms: node.clock.now_ms(),
        request: &request,
        file: None,
    })
}

/// The verb; `None`: a gathered text is no record, and nothing can be written into it.
fn command(change: &Change, submit: bool) -> Option<Command> {
    let fields = &change.fields;
    let own = |name: &str| fields.get(name).cloned();
    let token = change.token.clone().filter(|_| !submit);
    Some(match &change.about {
        About::Texts { .. } => return None,
        About::Report { task, unit, period } => {
            let report = ReportRef {
                task: task.to_string(),
                unit: Some(unit.clone()),
                period: Some(period.clone()),
            };
            if submit {
                return Some(Command::ReportSubmit { report });
            }
            let fields = ReportFields {
                // An outside record without a status says nothing about ours.
                status: own("status").filter(|text| !text.is_empty()),
                percent: own("percent"),
                result: own("result"),
                difficulties: own("difficulties"),
                next_steps: own("next_steps"),
                numerator: own("numerator"),
                denominator: own("denominator"),
                value: own("value"),
            };
            Command::ReportSet {
                report,
                fields,
                token,
                submit: false,
            }
        }
        About::Task(id) => {
            let units = |name: &str| own(name).map(|text| split(&text));
            let fields = TaskFields {
                group: own("group"),
                group_title: own("group_title"),
                number: own("number"),
                title: own("title"),
                subtask: own("subtask"),
                deliverable: own("deliverable"),
                kpi: own("kpi"),
                lead: units("lead"),
                coordinating: units("coordinating"),
                deadline: own("deadline"),
                programme: own("programme"),
                responsible: own("responsible"),
                authority: own("authority"),
                parent: None,
                classification: None,
                reviewer: None,
            };
            match id {
                Some(id) => Command::TaskUpdate {
                    task: id.to_string(),
                    fields,
                    token,
                },
                None => Command::TaskAdd { fields },
            }
        }
        About::Figure {
            indicator,
            unit,
            period,
        } => Command::IndicatorSet {
            indicator: indicator.clone(),
            unit: Some(unit.clone()),
            period: Some(period.clone()),
            value: own("value").filter(|text| !text.is_empty()),
            numerator: own("numerator").filter(|text| !text.is_empty()),
            denominator: own("denominator").filter(|text| !text.is_empty()),
            token,
        },
        About::Directive(_) => Command::DirectiveAdd {
            number: own("number").unwrap_or_default(),
            date: own("date").filter(|text| !text.is_empty()),
            kind: own("kind").filter(|text| !text.is_empty()),
            summary: own("summary").unwrap_or_default(),
            units: own("units").map(|text| split(&text)).unwrap_or_default(),
            file: None,
        },
    })
}

fn split(text: &str) -> Vec<String> {
    let parts = text.split([';', '\n']).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A wish about a field of a task that the adapter's unit does not own.
pub fn propose(
    node: &Node,
    tx: &mut Tx<'_>,
    change: &Change,
    lang: Lang,
    reason: &str,
) -> Result<(), Refusal> {
    let About::Report { task, .. } = &change.about else {
        return Ok(());
    };
    for (field, value) in &change.fields {
        let command = Some(Command::ProposalMake {
            task: task.to_string(),
            field: field.clone(),
            value: value.clone(),
            reason: reason.to_owned(),
        });
        let _: Value = carry_out(node, tx, change, lang, command)?.data;
    }
    Ok(())
}
