//! Fields of a task as they are named and typed outside `task update`: for proposals, and for settling conflicts. The
//! values are those the owner's own write would have.

use nqsync_core::calendar::DeadlineKind;
use nqsync_core::model::{Tree, UnitId};
use nqsync_core::sync::Record;
use serde_json::{Value, json};

use super::tasks;
use crate::api::TaskFields;
use crate::node::Refusal;
use crate::sheet::split_names;

/// Longest text of a field, in characters: the longest cell of a plan has some thousands.
const MAX_TEXT: usize = 20_000;

/// A field of a task that somebody may wish to change: its name, and the register that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    name: &'static str,
    register: &'static str,
}

const FIELDS: [Field; 13] = [
    Field::new("group", "group"),
    Field::new("number", "number"),
    Field::new("title", "title"),
    Field::new("subtask", "subtask"),
    Field::new("deliverable", "deliverable"),
    Field::new("kpi", "kpi"),
    Field::new("lead", "lead"),
    Field::new("coordinating", "coordinating"),
    Field::new("deadline", "deadline"),
    Field::new("programme", "programme"),
    Field::new("responsible", "person"),
    Field::new("authority", "authority"),
    Field::new("reviewer", "reviewer"),
];

impl Field {
    const fn new(name: &'static str, register: &'static str) -> Field {
        Field { name, register }
    }

    /// The field with this name.
    pub fn parse(name: &str) -> Result<Field, Refusal> {
        let wanted = name.trim().to_ascii_lowercase();
        let found = FIELDS.into_iter().find(|field| field.name == wanted);
        found.ok_or_else(|| {
            let names = FIELDS.map(|field| field.name).join(", ");
            Refusal::usage(
                "unknown-field",
                [("field", name.to_owned()), ("fields", names)],
            )
        })
    }

    /// The field that a register holds.
    pub fn of_register(register: &str) -> Option<Field> {
        FIELDS.into_iter().find(|field| field.register == register)
    }

    /// The register it is kept in.
    pub fn register(&self) -> &'static str {
        self.register
    }

    /// Reads what was typed into the register's value. Stricter than a plan's import: a wish that nobody can
    /// understand helps nobody.
    pub fn read(
        &self,
        tree: &Tree,
        issuer: UnitId,
        typed: &str,
        now: &Record,
    ) -> Result<Value, Refusal> {
        let typed = typed.trim();
        if typed.is_empty() || typed.chars().count() > MAX_TEXT {
            return Err(self.refused());
        }
        let mut values =
            tasks::values_of(tree, issuer, &self.typed(tree, typed, issuer), Some(now))?;
        let value = values.remove(self.register).unwrap_or_default();
        if let Some(unknown) = value["unresolved"].get(0).and_then(Value::as_str) {
            return Err(Refusal::usage(
                "unknown-unit",
                [("unit", unknown.to_owned())],
            ));
        }
        if self.name == "deadline" && value["kind"] == json!(DeadlineKind::Unread) {
            return Err(Refusal::usage(
                "bad-deadline",
                [("deadline", typed.to_owned())],
            ));
        }
        match value {
            Value::Null => Err(self.refused()),
            value => Ok(value),
        }
    }

    fn refused(&self) -> Refusal {
        let most = ("most", MAX_TEXT.to_string());
        Refusal::usage("bad-text", [("field", self.name.to_owned()), most])
    }

    fn typed(&self, tree: &Tree, typed: &str, issuer: UnitId) -> TaskFields {
        let mut fields = TaskFields::default();
        let names = || {
            let known = |name: &str| tree.resolve(name, Some(issuer)).is_ok();
            Some(split_names(typed, &known))
        };
        match self.name {
            "lead" => fields.lead = names(),
            "coordinating" => fields.coordinating = names(),
            name => {
                let place = match name {
                    "group" => &mut fields.group,
                    "number" => &mut fields.number,
                    "title" => &mut fields.title,
                    "subtask" => &mut fields.subtask,
                    "deliverable" => &mut fields.deliverable,
                    "kpi" => &mut fields.kpi,
                    "deadline" => &mut fields.deadline,
                    "programme" => &mut fields.programme,
                    "responsible" => &mut fields.responsible,
                    "authority" => &mut fields.authority,
                    _ => &mut fields.reviewer,
                };
                *place = Some(typed.to_owned());
            }
        }
        fields
    }
}

/// A typed value as the JSON of a register.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value)
        .map_err(|error| Refusal::usage("unwritable", [("detail", error.to_string())]))
}
