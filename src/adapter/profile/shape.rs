//! Keys and types of a profile, held against the JSON schema of the format: everything that does not fit, at once.
//!
//! serde would stop at the first mistake and could not say where a misspelt key was meant to go. The schema is made from
//! the same types, so that an engine's own tables are checked without a word here.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::spots::line_of;
use crate::config::keys::nearest;

/// Most words that a message lists.
const LISTED: usize = 20;
/// How many digits of a number that is out of range are shown.
const SHOWN_DIGITS: usize = 20;

/// Everything in the document that the schema does not allow.
pub fn check(document: &DeTable<'_>, text: &str, schema: &Value) -> Vec<Problem> {
    let mut shape = Shape {
        text,
        root: schema,
        found: Vec::new(),
    };
    shape.table(document, 0, schema, "");
    shape.engine(document);
    shape.found
}

struct Shape<'t> {
    text: &'t str,
    root: &'t Value,
    found: Vec<Problem>,
}

impl<'t> Shape<'t> {
    fn add(&mut self, byte: usize, key: &str, message: String) {
        self.found.push(Problem {
            line: line_of(self.text, byte),
            key: key.to_owned(),
            message,
        });
    }

    /// The tables that are named like the engine, in the profile and in its streams, must be there.
    fn engine(&mut self, document: &DeTable<'_>) {
        let get = |table: &'_ DeTable<'_>, name: &str| {
            table.iter().any(|(key, _)| key.get_ref().as_ref() == name)
        };
        let Some((at, engine)) = document
            .iter()
            .find(|(key, _)| key.get_ref().as_ref() == "engine")
        else {
            return;
        };
        let Some(engine) = engine.get_ref().as_str() else {
            return;
        };
        let (root, stream) = (self.root, &self.root["$defs"]["Stream"]);
        if !root["properties"][engine].is_null() && !get(document, engine) {
            let message = format!("is missing: engine = \"{engine}\" needs the table [{engine}]");
            self.add(at.span().start, engine, message);
        }
        if stream["properties"][engine].is_null() {
            return;
        }
        let streams = document
            .iter()
            .find(|(key, _)| key.get_ref().as_ref() == "stream");
        for part in streams
            .into_iter()
            .flat_map(|(_, list)| list.get_ref().as_array().into_iter().flatten())
        {
            if part
                .get_ref()
                .as_table()
                .is_some_and(|table| !get(table, engine) && !get(table, "workbook"))
            {
                let name = name_of(part.get_ref()).unwrap_or_default();
                let message =
                    format!("is missing: engine = \"{engine}\" needs the table [stream.{engine}]");
                self.add(
                    part.span().start,
                    &format!("stream.{name}.{engine}"),
                    message,
                );
            }
        }
    }

    /// A schema without references and without the `null` that stands for an absent key.
    fn plain(&self, schema: &'t Value) -> &'t Value {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            return self.plain(&self.root["$defs"][name]);
        }
        let meant = variants(schema).filter(|variant| variant["type"] != "null");
        match meant.collect::<Vec<_>>()[..] {
            [only] => self.plain(only),
            _ => schema,
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'t Value, key: &str) {
        let schema = self.plain(schema);
        let byte = value.span().start;
        let choices: Vec<&'t Value> = variants(schema)
            .map(|variant| self.plain(variant))
            .collect();
        if !choices.is_empty() {
            return self.choice(value, &choices, key);
        }
        if let Some(word) = word_of(schema) {
            return self.words(value, &[word], key);
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            return self.words(value, &words, key);
        }
        if !fits(value.get_ref(), schema) {
            let found = kind_of(value.get_ref());
            return self.add(byte, key, format!("is {found}; write {}", wanted(schema)));
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, byte, schema, key),
            DeValue::Array(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    let name = name_of(part.get_ref()).unwrap_or_else(|| (number + 1).to_string());
                    self.value(part, &schema["items"], &format!("{key}.{name}"));
                }
            }
            DeValue::Integer(number) => {
                let (least, most) = (&schema["minimum"], &schema["maximum"]);
                let read = i64::from_str_radix(number.as_str(), number.radix());
                // What no integer holds is above every bound or below it; the sign tells.
                let read = read.unwrap_or(match number.as_str().starts_with('-') {
                    true => i64::MIN,
                    false => i64::MAX,
                });
                let bound = match (least.as_i64(), most.as_i64()) {
                    (Some(least), _) if read < least => Some(format!("the least is {least}")),
                    (_, Some(most)) if read > most => Some(format!("the most is {most}")),
                    _ => None,
                };
                if let Some(bound) = bound {
                    let shown: String = number.as_str().chars().take(SHOWN_DIGITS).collect();
                    self.add(byte, key, format!("is {shown}; {bound}"));
                }
            }
            _ => {}
        }
    }

    /// A value that may be one of several things.
    fn choice(&mut self, value: &Spanned<DeValue<'_>>, choices: &[&'t Value], key: &str) {
        let byte = value.span().start;
        let words: Vec<&str> = choices
            .iter()
            .filter_map(|choice| word_of(choice))
            .collect();
        let tables: Vec<&'t Value> = choices
            .iter()
            .filter(|c| c["type"] == "object")
            .copied()
            .collect();
        match value.get_ref() {
            DeValue::Table(table) if !tables.is_empty() => {
                match tables.iter().find_map(|table| tag_of(table)) {
                    Some((tag, _)) => self.tagged(table, byte, &tables, tag, key),
                    None => self.one_key(table, byte, &tables, key),
                }
            }
            DeValue::String(_) if !words.is_empty() => self.words(value, &words, key),
            other
                if choices
                    .iter()
                    .any(|choice| word_of(choice).is_none() && fits(other, choice)) => {}
            other => {
                let mut forms: Vec<String> =
                    words.iter().map(|word| format!("\"{word}\"")).collect();
                forms.extend(tables.iter().filter_map(|table| form_of(table)));
                if forms.is_empty() {
                    forms.extend(choices.iter().map(|choice| wanted(choice).to_owned()));
                }
                let secret = tables
                    .iter()
                    .any(|table| !table["properties"]["credential"].is_null());
                let found = match (other, secret) {
                    (DeValue::String(_), true) => "stands in this file, where everybody reads it",
                    _ => kind_of(other),
                };
                let message = match (other, secret) {
                    (DeValue::String(_), true) => {
                        format!("{found}; keep it outside: {}", listed(&forms))
                    }
                    _ => format!("is {found}; write {}", listed(&forms)),
                };
                self.add(byte, key, message);
            }
        }
    }

    /// A table of which one key says what kind it is.
    fn tagged(
        &mut self,
        table: &DeTable<'_>,
        byte: usize,
        tables: &[&'t Value],
        tag: &str,
        key: &str,
    ) {
        let kinds: Vec<&str> = tables
            .iter()
            .filter_map(|table| tag_of(table))
            .map(|(_, word)| word)
            .collect();
        let Some((_, written)) = table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == tag)
        else {
            let message = format!("needs the key {tag}: {}", quoted(&kinds));
            return self.add(byte, key, message);
        };
        let word = match written.get_ref() {
            DeValue::String(word) => word.as_ref(),
            _ => "",
        };
        match tables
            .iter()
            .find(|table| tag_of(table) == Some((tag, word)))
        {
            Some(schema) => self.table(table, byte, schema, key),
            None => self.words(written, &kinds, &joined(key, tag)),
        }
    }

    /// A table with one key out of several, such as `{ file = "…" }`.
    fn one_key(&mut self, table: &DeTable<'_>, byte: usize, tables: &[&'t Value], key: &str) {
        let first = table
            .iter()
            .next()
            .map(|(name, _)| name.get_ref().to_string());
        let meant = first.and_then(|name| {
            tables
                .iter()
                .find(|table| !table["properties"][&name].is_null())
        });
        match meant {
            Some(schema) => self.table(table, byte, schema, key),
            None => {
                let forms: Vec<String> = tables.iter().filter_map(|table| form_of(table)).collect();
                self.add(byte, key, format!("is none of {}", listed(&forms)));
            }
        }
    }

    fn words(&mut self, value: &Spanned<DeValue<'_>>, words: &[&str], key: &str) {
        let byte = value.span().start;
        match value.get_ref() {
            DeValue::String(word) if words.contains(&word.as_ref()) => {}
            DeValue::String(word) => {
                let hint = nearest(word, words.iter().copied());
                let hint =
                    hint.map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"));
                let message = format!("is \"{word}\"{hint}; allowed are {}", quoted(words));
                self.add(byte, key, message);
            }
            other => {
                let message = format!("is {}; write one of {}", kind_of(other), quoted(words));
                self.add(byte, key, message);
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>, byte: usize, schema: &'t Value, key: &str) {
        let known = schema["properties"].as_object();
        let others = &schema["additionalProperties"];
        for (name, value) in table {
            let written = name.get_ref().as_ref();
            let path = joined(key, written);
            let found = known.and_then(|known| known.get(written));
            match found {
                Some(schema) => self.value(value, schema, &path),
                None if others.is_object() => self.value(value, others, &path),
                None if *others == Value::Bool(false) => {
                    let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                    let message = unknown(written, &names.collect::<Vec<_>>());
                    self.add(name.span().start, &path, message);
                }
                None => {}
            }
        }
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !table.iter().any(|(key, _)| key.get_ref().as_ref() == name) {
                let about = known.and_then(|known| known[name]["description"].as_str());
                let about =
                    about.map_or_else(String::new, |about| format!(": {}", first_sentence(about)));
                self.add(byte, &joined(key, name), format!("is missing{about}"));
            }
        }
    }
}

fn variants(schema: &Value) -> impl Iterator<Item = &Value> {
    let either = |name: &str| schema[name].as_array().into_iter().flatten();
    either("oneOf").chain(either("anyOf"))
}

/// The word of a variant that is a word.
fn word_of(schema: &Value) -> Option<&str> {
    schema["const"].as_str()
}

/// The key by which variants of a table are told apart, and its word in this one.
fn tag_of(schema: &Value) -> Option<(&str, &str)> {
    let properties = schema["properties"].as_object()?;
    properties
        .iter()
        .find_map(|(name, property)| Some((name.as_str(), word_of(property)?)))
}

/// How a variant with one key is written.
fn form_of(schema: &Value) -> Option<String> {
    let name = schema["required"][0].as_str()?;
    Some(format!("{{ {name} = \"…\" }}"))
}

fn fits(value: &DeValue<'_>, schema: &Value) -> bool {
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => return true,
    };
    types.iter().any(|kind| match value {
        DeValue::String(_) => *kind == "string",
        DeValue::Integer(_) => matches!(*kind, "integer" | "number"),
        DeValue::Float(_) => *kind == "number",
        DeValue::Boolean(_) => *kind == "boolean",
        DeValue::Array(_) => *kind == "array",
        DeValue::Table(_) => *kind == "object",
        DeValue::Datetime(_) => false,
    })
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn wanted(schema: &Value) -> &'static str {
    let kind = match &schema["type"] {
        Value::Array(some) => some
            .iter()
            .find(|kind| **kind != "null")
            .and_then(Value::as_str),
        one => one.as_str(),
    };
    match kind {
        Some("string") => "text in quotes",
        Some("integer") => "a whole number without quotes",
        Some("number") => "a number without quotes",
        Some("boolean") => "true or false without quotes",
        Some("array") => "a list: [ …, … ]",
        _ => "a table",
    }
}

fn unknown(written: &str, names: &[&str]) -> String {
    match nearest(written, names.iter().copied()) {
        Some(near) => format!("is not known; did you mean {near}?"),
        None => format!("is not known here; known are {}", listed(names)),
    }
}

fn listed<T: AsRef<str>>(words: &[T]) -> String {
    let shown: Vec<&str> = words.iter().take(LISTED).map(AsRef::as_ref).collect();
    shown.join(", ")
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    listed(&quoted)
}

fn joined(key: &str, name: &str) -> String {
    match key {
        "" => name.to_owned(),
        _ => format!("{key}.{name}"),
    }
}

/// What a table in a list is called.
fn name_of(value: &DeValue<'_>) -> Option<String> {
    let table = value.as_table()?;
    let (_, name) = table
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == "name")?;
    name.get_ref().as_str().map(str::to_owned)
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |end| end);
    text[..end].trim_end_matches('.').replace('\n', " ")
}
