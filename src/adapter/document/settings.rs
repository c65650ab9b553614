//! The `[document]` table of a profile.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[document]`: where the outline is, and which text goes into which row.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Path of the outline below `http.base_url`.
    pub path: String,
    /// Query of both requests.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers of both requests.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Rows, by the name of the stream's field that goes into each.
    pub rows: BTreeMap<String, RowName>,
}

/// Names a row: by `idxId`, and where no row has it, by `idxCode`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowName {
    /// `idxId`.
    pub id: Option<i64>,
    /// `idxCode`.
    pub code: Option<String>,
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.id, &self.code) {
            (Some(id), Some(code)) => write!(f, "{id} ({code})"),
            (Some(id), None) => write!(f, "{id}"),
            (None, Some(code)) => f.write_str(code),
            (None, None) => f.write_str("without a name"),
        }
    }
}
