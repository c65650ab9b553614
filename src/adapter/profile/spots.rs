//! Where things stand in the text of a profile.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Lines by path. The path of a list's part has its number, from 0.
#[derive(Debug, Default)]
pub struct Spots(BTreeMap<Vec<String>, usize>);

impl Spots {
    /// The lines of every key and value of a document.
    pub fn of(document: &DeTable<'_>, text: &str) -> Spots {
        let mut spots = Spots::default();
        spots.table(document, text, &mut Vec::new());
        spots
    }

    /// The line of a path, or of the nearest thing around it; 0 for the file as a whole.
    pub fn line(&self, path: &[&str]) -> usize {
        let mut path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        while !path.is_empty() {
            if let Some(line) = self.0.get(&path) {
                return *line;
            }
            path.pop();
        }
        0
    }

    fn table(&mut self, table: &DeTable<'_>, text: &str, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            self.0.insert(path.clone(), line_of(text, key.span().start));
            self.value(value, text, path);
            path.pop();
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, text: &str, path: &mut Vec<String>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, text, path),
            DeValue::Array(parts) => {
                for (number, part) in parts.iter().enumerate() {
                    path.push(number.to_string());
                    self.0
                        .insert(path.clone(), line_of(text, part.span().start));
                    self.value(part, text, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// The line, from 1, that a byte is in.
pub fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}
