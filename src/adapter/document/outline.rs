//! An outline: an array of rows, of which only what is ours is ever rewritten. Pure.

use std::fmt;

use nqsync_core::calendar::fold;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::parts::{self, Form};
use super::settings::RowName;

/// The fields that a row is sent with, in this order, and no others (the tracker's public interface).
const SENT: [&str; 12] = [
    "id",
    "idxId",
    "idxCode",
    "idxName",
    "parentId",
    "idxOrder",
    "idxContent",
    "idxContentRaw",
    "idxContentKeyword",
    "idxContentSynthetic",
    "updateTime",
    "updateUser",
];

/// One row: its fields in their order, each exactly as it came.
#[derive(Clone, Debug)]
pub struct Row(Vec<(String, Box<RawValue>)>);

/// The whole outline.
#[derive(Clone, Debug)]
pub struct Outline(Vec<Row>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row of the outline")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Row(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Outline {
    /// Reads the body of an answer.
    pub fn parse(body: &[u8]) -> Result<Outline, String> {
        serde_json::from_slice(body)
            .map(Outline)
            .map_err(|e| e.to_string())
    }

    /// The body of a request: every row, with the documented fields.
    pub fn body(&self) -> String {
        let rows = self.0.iter().map(Row::sent);
        format!("[{}]", rows.collect::<Vec<_>>().join(","))
    }

    /// The text of a unit in a row.
    pub fn text(
        &self,
        row: &RowName,
        unit: &str,
        known: &dyn Fn(&str) -> bool,
    ) -> Result<String, String> {
        let row = self.find(row)?;
        let content = self.0[row].text("idxContent");
        Ok(parts::read(Form::Html, &content, unit, known).unwrap_or_default())
    }

    /// Puts a text under a unit's name in a row, in the HTML and in the plain text.
    pub fn put(
        &mut self,
        row: &RowName,
        unit: &str,
        text: &str,
        known: &dyn Fn(&str) -> bool,
    ) -> Result<(), String> {
        let row = self.find(row)?;
        for (field, form) in [("idxContent", Form::Html), ("idxContentRaw", Form::Lines)] {
            let before = self.0[row].text(field);
            let after = parts::write(form, &before, unit, text, known);
            if after != before {
                self.0[row].set(field, &after)?;
            }
        }
        Ok(())
    }

    /// A row by its `idxId`, else by its `idxCode`.
    fn find(&self, name: &RowName) -> Result<usize, String> {
        let by_id = name
            .id
            .as_ref()
            .and_then(|id| self.0.iter().position(|row| row.value("idxId") == *id));
        let by_code = || {
            let code = fold(name.code.as_deref()?);
            self.0
                .iter()
                .position(|row| fold(&row.text("idxCode")) == code)
        };
        by_id
            .or_else(by_code)
            .ok_or_else(|| format!("the outline has no row {name}"))
    }
}

impl Row {
    fn value(&self, field: &str) -> Value {
        let found = self.0.iter().find(|(name, _)| name == field);
        found
            .and_then(|(_, raw)| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    fn text(&self, field: &str) -> String {
        match self.value(field) {
            Value::String(text) => text,
            _ => String::new(),
        }
    }

    fn set(&mut self, field: &str, text: &str) -> Result<(), String> {
        let raw = serde_json::value::to_raw_value(text).map_err(|e| e.to_string())?;
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, value)) => *value = raw,
            None => self.0.push((field.to_owned(), raw)),
        }
        Ok(())
    }

    fn sent(&self) -> String {
        let field = |name: &&str| {
            let found = self.0.iter().find(|(field, _)| field == name);
            let raw = found.map_or("null", |(_, raw)| raw.get());
            format!("\"{name}\":{raw}")
        };
        format!(
            "{{{}}}",
            SENT.iter().map(field).collect::<Vec<_>>().join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"[{"id":1,"idxId":11,"idxCode":"I.1","idxName":"Kết quả","parentId":null,"idxOrder":1.50,
        "idxContent":"<p>đầu</p>","idxContentRaw":"đầu","idxContentKeyword":null,"idxContentSynthetic":"\u00e0",
        "updateTime":"2026-03-01T01:00:00","updateUser":"x","more":true},
        {"id":2,"idxId":12,"idxCode":"I.2","idxContent":null}]"#;

    fn known(name: &str) -> bool {
        name == "Xã Suối Mây"
    }

    #[test]
    fn rows_are_found_by_id_else_by_code_and_what_is_not_ours_goes_back_as_it_came() {
        let mut outline = Outline::parse(BODY.as_bytes()).expect("an outline");
        let by_id = RowName {
            id: Some(11),
            code: None,
        };
        let by_code = RowName {
            id: Some(99),
            code: Some("i.2".into()),
        };
        outline
            .put(&by_id, "Xã Suối Mây", "xong", &known)
            .expect("a row");
        outline
            .put(&by_code, "Xã Suối Mây", "khó", &known)
            .expect("a row");
        let body = outline.body();
        assert!(
            body.contains(r#""idxOrder":1.50"#)
                && body.contains(r#""idxContentSynthetic":"\u00e0""#),
            "{body}"
        );
        assert!(!body.contains("more"), "only the documented fields: {body}");
        let again = Outline::parse(body.as_bytes()).expect("an outline");
        assert_eq!(
            again.text(&by_id, "Xã Suối Mây", &known).as_deref(),
            Ok("xong")
        );
        assert_eq!(
            again.text(&by_code, "Xã Suối Mây", &known).as_deref(),
            Ok("khó")
        );
        assert!(body.contains("<p>đầu</p><p><strong>"), "{body}");
        let none = RowName {
            id: Some(7),
            code: Some("IX".into()),
        };
        assert!(
            outline
                .put(&none, "Xã Suối Mây", "x", &known)
                .unwrap_err()
                .contains("IX")
        );
    }
}
