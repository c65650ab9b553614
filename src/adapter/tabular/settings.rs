//! The tables `[tabular]` and `[stream.tabular]` of a profile.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::sheet::layout::{self, Column};

/// `[tabular]`: the folders. Relative ones lie in the node's data directory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where files arrive. What was taken goes to `processed`, `in-doubt` or `rejected` in it.
    pub incoming: PathBuf,
    /// Where files of ours are put.
    pub outgoing: PathBuf,
    /// A file touched less than so many seconds ago is still being written.
    #[serde(default = "settle")]
    pub settle_s: u64,
}

fn settle() -> u64 {
    10
}

/// `[stream.tabular]`: one kind of table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamSettings {
    /// Which of the files that arrive; `*` stands for anything.
    #[serde(default = "any_table")]
    pub files: Vec<String>,
    /// The sheet; absent: the first with content.
    pub sheet: Option<String>,
    /// The columns, in the order in which they are written.
    #[serde(rename = "column")]
    pub columns: Vec<ColumnSettings>,
    /// The name of a file of ours, without what makes it unique: `{period}` and `{unit}` are filled in. Its ending says
    /// whether it is XLSX or CSV.
    #[serde(default = "file_name")]
    pub out: String,
    /// A workbook beside the profile that is filled: below the row with the headings, everything else stays as it is.
    pub template: Option<PathBuf>,
}

/// A column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSettings {
    /// Its name in expressions.
    pub name: String,
    /// Its headings; the first one is written. In a header of two rows: the upper one followed by the lower one.
    pub headings: Vec<String>,
    /// Whether it names the record, alone or with others. A row without it is no record.
    #[serde(default)]
    pub key: bool,
}

fn any_table() -> Vec<String> {
    vec!["*.xlsx".to_owned(), "*.csv".to_owned()]
}

fn file_name() -> String {
    "nqsync-{period}.xlsx".to_owned()
}

impl StreamSettings {
    /// The columns as tables are read by.
    pub fn layout(&self) -> Vec<Column> {
        let columns = self.columns.iter().map(|column| Column {
            name: column.name.clone(),
            headings: column.headings.clone(),
            is_key: column.key,
        });
        columns.collect()
    }

    /// What is wrong with the columns: the key, and the message.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if !self.columns.iter().any(|column| column.key) {
            let message = "has no column with key = true; say which column names a record";
            found.push(("column".to_owned(), message.to_owned()));
        }
        for (at, column) in self.columns.iter().enumerate() {
            let key = format!("column.{at}.name");
            let before = &self.columns[..at];
            if layout::RESERVED.contains(&column.name.as_str()) {
                let message = format!("is \"{}\", which every row has of itself", column.name);
                found.push((key, message));
            } else if before.iter().any(|other| other.name == column.name) {
                found.push((key, format!("is \"{}\", as another column is", column.name)));
            }
            if column.headings.is_empty() {
                let message = "is empty; write the heading as it stands in the file";
                found.push((format!("column.{at}.headings"), message.to_owned()));
            }
        }
        if !self.out.ends_with(".xlsx") && !self.out.ends_with(".csv") {
            let message = format!("is \"{}\"; the ending is .xlsx or .csv", self.out);
            found.push(("out".to_owned(), message));
        }
        found
    }
}
