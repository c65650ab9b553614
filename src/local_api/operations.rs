//! What a kind of request is: its address, what it carries, which verb it is and what is answered.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::{Page, Written};
use super::asked::Nothing;
use crate::api::{Command, ReportRef};

/// What a request asks for.
pub struct Ask {
    /// The verb.
    pub command: Command,
    /// The unit acted for, where the address names it.
    pub acting_for: Option<String>,
    /// How the mark that it is based on is looked at.
    pub base: Base,
}

/// How the mark in `If-Match` is looked at.
pub enum Base {
    /// It is not.
    Unseen,
    /// It is compared with what this shows, before the write.
    Shown(Box<Present>),
    /// The verb compares it.
    Verb,
}

/// Finds the mark of a state in what shows it.
type Mark = Box<dyn Fn(&Value) -> Option<String> + Send>;

/// How the mark of a present state is read.
pub struct Present {
    /// The verb that shows it.
    pub command: Command,
    /// Where its mark is in the answer.
    pub mark: Mark,
}

impl From<Command> for Ask {
    fn from(command: Command) -> Ask {
        Ask {
            command,
            acting_for: None,
            base: Base::Unseen,
        }
    }
}

/// What stands in the address and the headers of a request.
pub struct Named {
    /// Parts of the path by name.
    pub path: BTreeMap<String, String>,
    /// The mark that a write is based on.
    pub mark: Option<String>,
}

impl Named {
    pub(super) fn part(&self, name: &str) -> String {
        self.path.get(name).cloned().unwrap_or_default()
    }

    /// The report that the path names.
    pub fn report(&self) -> ReportRef {
        ReportRef {
            task: self.part("task"),
            unit: Some(self.part("unit")),
            period: Some(self.part("period")),
        }
    }
}

type Build = Box<dyn Fn(&Named, &axum::http::Uri, &[u8]) -> Result<Ask, Wrong> + Send + Sync>;
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What of a request cannot be understood.
pub enum Wrong {
    /// What stands behind `?`.
    Query(String),
    /// The JSON.
    Body(String),
}

/// How a request is carried out.
pub enum Does {
    /// By a verb.
    Ask(Build),
    /// A verb with a file whose bytes are the body.
    Upload,
    /// The bytes of a file.
    Download,
    /// What changes, as it happens.
    Events,
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One thing.
    Item,
    /// A part of a list, in the order of ids.
    List,
    /// What a write came to.
    Written,
    /// What a write came to that began something.
    Created,
}

/// One kind of request.
pub struct Operation {
    /// HTTP's verb.
    pub method: Method,
    /// Its address.
    pub path: &'static str,
    /// Its name for programs that are made from the document.
    pub id: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// How.
    pub does: Does,
    /// What the answer looks like.
    pub shape: Shape,
    /// What may stand behind `?`.
    pub query: SchemaOf,
    /// What the body must be; `None`: there is none, or it is a file.
    pub body: Option<SchemaOf>,
    /// What the answer is.
    pub answer: SchemaOf,
}

impl Operation {
    /// What it is about: the first part of the address.
    pub fn tag(&self) -> &'static str {
        self.path.split('/').nth(2).unwrap_or_default()
    }

    /// Whether it may write.
    pub fn writes(&self) -> bool {
        matches!(self.shape, Shape::Written | Shape::Created)
    }
}

pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) fn fields<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    // The fields themselves are wanted, not a name for them.
    T::json_schema(generator)
}

fn query<Q: DeserializeOwned>(uri: &axum::http::Uri) -> Result<Q, Wrong> {
    let read = axum::extract::Query::<Q>::try_from_uri(uri);
    read.map(|query| query.0)
        .map_err(|rejection| Wrong::Query(rejection.body_text()))
}

/// A request that reads.
pub(super) fn read<Q: DeserializeOwned + JsonSchema + 'static, A: JsonSchema>(
    shape: Shape,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    command: fn(&Named, Q) -> Command,
) -> Operation {
    Operation {
        method: Method::GET,
        path,
        id,
        summary,
        does: Does::Ask(Box::new(move |named, uri, _| {
            Ok(command(named, query(uri)?).into())
        })),
        shape,
        query: fields::<Q>,
        body: None,
        answer: schema::<A>,
    }
}

pub(super) fn one<A: JsonSchema>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    command: fn(&Named, Nothing) -> Command,
) -> Operation {
    read::<Nothing, A>(Shape::Item, path, id, summary, command)
}

pub(super) fn list<Q: DeserializeOwned + JsonSchema + 'static, A: JsonSchema>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    command: fn(&Named, Q) -> Command,
) -> Operation {
    read::<Q, Page<A>>(Shape::List, path, id, summary, command)
}

/// A request that writes what its body says.
pub(super) fn write<B: DeserializeOwned + JsonSchema + 'static, A: JsonSchema>(
    (method, shape): (Method, Shape),
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    ask: fn(&Named, B) -> Ask,
) -> Operation {
    Operation {
        method,
        path,
        id,
        summary,
        does: Does::Ask(Box::new(move |named, _, body| {
            // An empty body says nothing, and that is all some requests have to say.
            let body = if body.is_empty() { b"{}" } else { body };
            let body = serde_json::from_slice(body);
            let body = body.map_err(|error| Wrong::Body(error.to_string()))?;
            Ok(ask(named, body))
        })),
        shape,
        query: fields::<Nothing>,
        body: Some(fields::<B>),
        answer: schema::<Written<A>>,
    }
}

/// The mark that a record shows of its state.
pub fn token(shown: &Value) -> Option<String> {
    shown["token"].as_str().map(str::to_owned)
}

/// A decision about what was shown, and about nothing else.
pub(super) fn decision(command: Command) -> Ask {
    Ask {
        base: Base::Verb,
        ..command.into()
    }
}

/// A write to a report: for the unit of the address, based on what it shows.
pub(super) fn on_report(named: &Named, command: Command) -> Ask {
    Ask {
        command,
        acting_for: Some(named.part("unit")),
        base: Base::Shown(Box::new(Present {
            command: Command::ReportShow {
                report: named.report(),
            },
            mark: Box::new(token),
        })),
    }
}

pub(super) fn on_task(named: &Named, command: Command) -> Ask {
    Ask {
        command,
        acting_for: None,
        base: Base::Shown(Box::new(Present {
            command: Command::TaskShow {
                task: named.part("task"),
            },
            mark: Box::new(token),
        })),
    }
}

/// A write to a unit's value: for the unit of the address, which must be its code where the write is based on a mark.
pub(super) fn on_figure(named: &Named, command: Command) -> Ask {
    let (indicator, unit) = (named.part("indicator"), named.part("unit"));
    let mark = move |listed: &Value| {
        let all = listed["items"].as_array()?;
        let named = |item: &&Value| [&item["code"], &item["id"]].contains(&&json!(indicator));
        let values = all.iter().find(named)?["values"].as_array()?;
        token(values.iter().find(|value| value["unit"] == json!(unit))?)
    };
    Ask {
        command,
        acting_for: Some(named.part("unit")),
        base: Base::Shown(Box::new(Present {
            command: Command::IndicatorList {
                period: Some(named.part("period")),
                unit: Some(named.part("unit")),
            },
            mark: Box::new(mark),
        })),
    }
}
