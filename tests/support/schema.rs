//! Holds JSON against the schemas of an OpenAPI document. It knows the keywords that such a document of ours may use, and
//! an unknown one is a fault of the document: what is not understood here would not be checked.

use serde_json::{Map, Value};

/// What says nothing about a value.
const SILENT: [&str; 5] = ["title", "description", "default", "format", "x-data-schema"];

pub struct Checker<'a> {
    pub document: &'a Value,
}

impl Checker<'_> {
    /// What is wrong with a value. Fields that are not described are wrong too, unless the schema says it lets others in.
    pub fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.check(schema, value, "", &mut found);
        found
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Object(schema) => schema,
            other => return found.push(format!("{at}: no schema: {other}")),
        };
        for (keyword, said) in schema {
            match keyword.as_str() {
                "$ref" => self.check(self.at(said), value, at, found),
                "type" if !is_of(said, value) => found.push(format!("{at}: {value} is no {said}")),
                "enum" if !said.as_array().expect("a list").contains(value) => {
                    found.push(format!("{at}: {value} is none of {said}"));
                }
                "const" if said != value => found.push(format!("{at}: {value} is not {said}")),
                "required" => {
                    let names = said.as_array().expect("a list");
                    let names = names.iter().filter_map(Value::as_str);
                    for name in names.filter(|name| value.is_object() && value.get(name).is_none())
                    {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(said, item, &format!("{at}/{n}"), found);
                    }
                }
                "anyOf" | "oneOf" => {
                    let choices = said.as_array().expect("a list");
                    let fits = |choice: &&Value| self.faults(choice, value).is_empty();
                    let count = choices.iter().filter(fits).count();
                    if count == 0 || (keyword == "oneOf" && count > 1) {
                        found.push(format!("{at}: {value} fits {count} of {said}"));
                    }
                }
                "minimum" if value.is_number() && value.as_f64() < said.as_f64() => {
                    found.push(format!("{at}: {value} is below {said}"));
                }
                "type" | "enum" | "const" | "minimum" => {}
                "properties" | "additionalProperties" => {}
                "maximum" | "maxLength" => {}
                known if SILENT.contains(&known) => {}
                unknown => found.push(format!("{at}: what is the keyword {unknown}?")),
            }
        }
        self.check_fields(schema, value, at, found);
        if schema.get("format") == Some(&"date-time".into())
            && let Some(text) = value.as_str()
            && text.parse::<jiff::Timestamp>().is_err()
        {
            found.push(format!("{at}: {text} is no moment of RFC 3339"));
        }
    }

    fn check_fields(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        found: &mut Vec<String>,
    ) {
        let Some(fields) = value.as_object() else {
            return;
        };
        let described = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let inside = format!("{at}/{name}");
            match (
                described.and_then(|d| d.get(name)),
                schema.get("additionalProperties"),
            ) {
                (Some(schema), _) => self.check(schema, value, &inside, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{inside} is not allowed")),
                (None, Some(others)) => self.check(others, value, &inside, found),
                (None, None) if described.is_some() => {
                    found.push(format!("{inside} is not described"));
                }
                (None, None) => {}
            }
        }
    }

    /// What a reference leads to.
    pub fn at(&self, reference: &Value) -> &Value {
        let text = reference.as_str().expect("a reference is text");
        let pointer = text.strip_prefix('#').expect("into the document itself");
        let found = self.document.pointer(pointer);
        found.unwrap_or_else(|| panic!("{text} leads nowhere"))
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    }
}
