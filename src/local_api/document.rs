//! The OpenAPI document, made from the table of requests.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::call::KEY;
use super::door::PERSON;
use super::operations::{Does, Operation, Shape};
use super::problem::{MEDIA, Told};
use super::table::OPERATIONS;

/// What may stand behind `?` of every list.
const OF_LISTS: [&str; 2] = ["cursor", "limit"];
/// What may stand behind `?` of a write whose address names no unit.
const OF_WRITES: [&str; 1] = ["for"];
/// Where problems are described.
const PROBLEM: &str = "#/components/responses/problem";

/// For what is sent here, where an option may be left out. OpenAPI 3.1 takes JSON Schema as it is.
fn generator() -> SchemaGenerator {
    settings().for_deserialize().into_generator()
}

/// For what is answered, where an option is null.
fn answering() -> SchemaGenerator {
    settings().for_serialize().into_generator()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

/// The names of the fields of an object.
pub fn properties(schema: fn(&mut SchemaGenerator) -> Schema) -> BTreeSet<String> {
    let schema = schema(&mut generator());
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}

/// What may stand behind `?`: names of this kind of request, and those common to many.
pub fn parameters(operation: &Operation) -> (BTreeSet<String>, &'static [&'static str]) {
    let common: &[&str] = match operation.shape {
        Shape::List => &OF_LISTS,
        _ if operation.writes() && !operation.path.contains("{unit}") => &OF_WRITES,
        _ => &[],
    };
    (properties(operation.query), common)
}

/// The document.
pub fn document() -> Value {
    let mut of = Generators {
        asked: generator(),
        answered: answering(),
    };
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS.iter() {
        let described = described(operation, &mut of);
        let method = operation.method.as_str().to_ascii_lowercase();
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[method] = described;
    }
    paths.insert(
        "/openapi.json".to_owned(),
        json!({ "get": {
        "operationId": "get_document",
        "summary": "This document",
        "tags": ["document"],
        "security": [],
        "responses": { "200": { "description": "OpenAPI 3.1", "content": {
            "application/json": { "schema": { "type": "object" } } } } },
    } }),
    );
    let problem = of.answered.subschema_for::<Told>();
    let mut schemas = of.answered.take_definitions(true);
    schemas.extend(of.asked.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nqsync",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The local API of a node: what commands do, for programs on this machine",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "http://127.0.0.1:7482" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer",
                "description": "Made by nqsync token new. At the control socket none is needed.",
            } },
            "parameters": {
                "language": { "name": "Accept-Language", "in": "header", "schema": { "type": "string" },
                    "description": "vi (usual) or en: language of sentences" },
                "person": { "name": PERSON, "in": "header", "schema": { "type": "string" },
                    "description": "At the control socket: who asks" },
                "key": { "name": KEY, "in": "header", "schema": { "type": "string", "maxLength": 255 },
                    "description": "A repetition under the same key within seven days is answered as the first was" },
                "mark": { "name": "If-Match", "in": "header", "schema": { "type": "string" },
                    "description": "The ETag of what the write is based on; refused with 412 if it is no longer so" },
                "limit": { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 1000,
                    "default": 100 }, "description": "Most entries" },
                "cursor": { "name": "cursor", "in": "query", "schema": { "type": "string" },
                    "description": "Where the part begins: next of the part before" },
                "for": { "name": "for", "in": "query", "schema": { "type": "string" },
                    "description": "The unit acted for; without it the one that this node serves" },
                "last": { "name": "Last-Event-ID", "in": "header", "schema": { "type": "string" },
                    "description": "The id of the last event that was taken in" },
            },
            "responses": { "problem": {
                "description": "Not carried out; why, as RFC 9457 has it",
                "content": { MEDIA: { "schema": problem } },
            } },
        },
    })
}

struct Generators {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
}

fn described(operation: &Operation, of: &mut Generators) -> Value {
    let mut parameters = in_path(operation.path);
    parameters.extend(in_query(operation, &mut of.asked));
    let mut common = vec!["language", "person"];
    common.extend(self::parameters(operation).1);
    if operation.writes() {
        common.push("key");
    }
    let has_mark = matches!(
        operation.id,
        "get_unit" | "get_task" | "get_report" | "get_conflict"
    );
    let takes_mark = matches!(
        operation.id,
        "update_task"
            | "withdraw_task"
            | "update_report"
            | "submit_report"
            | "withdraw_report"
            | "set_indicator_value"
            | "judge_report"
            | "resolve_conflict"
            | "decide_proposal"
    );
    if takes_mark {
        common.push("mark");
    }
    if matches!(operation.does, Does::Events) {
        common.push("last");
    }
    let shared = common
        .into_iter()
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
    parameters.extend(shared);
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag()],
        "parameters": parameters,
        "responses": responses(operation, has_mark, &mut of.answered),
    });
    if let Some(body) = operation.body {
        let schema = body(&mut of.asked);
        let fields = schema.get("required").and_then(Value::as_array);
        let required = fields.is_some_and(|fields| !fields.is_empty());
        described["requestBody"] = json!({ "required": required,
            "content": { "application/json": { "schema": schema } } });
    } else if matches!(operation.does, Does::Upload) {
        described["requestBody"] = json!({ "required": true,
            "content": { "application/octet-stream": {} } });
    }
    described
}

fn responses(operation: &Operation, has_mark: bool, generator: &mut SchemaGenerator) -> Value {
    let schema = (operation.answer)(generator);
    let etag =
        json!({ "ETag": { "schema": { "type": "string" }, "description": "Mark of this state" } });
    let content = match operation.does {
        Does::Download => json!({ "application/octet-stream": {} }),
        Does::Events => json!({ "text/event-stream": { "schema": { "type": "string" },
            "x-data-schema": schema } }),
        _ => json!({ "application/json": { "schema": schema } }),
    };
    let mut done = json!({ "description": operation.summary, "content": content });
    if has_mark || operation.writes() {
        done["headers"] = etag;
    }
    let status = match operation.shape {
        Shape::Created => "201",
        _ => "200",
    };
    let mut responses = json!({ status: done, "default": { "$ref": PROBLEM } });
    if operation.writes() {
        responses["202"] = json!({
            "description": "A mass change: nothing of it is done until a person lets it through",
            "content": { "application/json": { "schema": { "type": "object" } } },
        });
    }
    responses
}

fn in_path(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| {
        part.strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
    });
    let described = names.map(|name| {
        let description = match name {
            "task" => "Task: its id, the beginning of it, or GROUP%2FNUMBER",
            "unit" => "Unit: code, name or alias",
            "period" => "Reporting period: 2026-03, 2026-Q2, 2026",
            _ => "Id, or the beginning of it",
        };
        json!({ "name": name, "in": "path", "required": true, "description": description,
            "schema": { "type": "string" } })
    });
    described.collect()
}

fn in_query(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let schema = (operation.query)(generator);
    let required = schema.get("required").cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let described = properties.into_iter().flatten().map(|(name, schema)| {
        let needed = required
            .as_array()
            .is_some_and(|all| all.contains(&json!(name)));
        json!({ "name": name, "in": "query", "required": needed,
            "description": schema["description"], "schema": schema })
    });
    described.collect()
}
