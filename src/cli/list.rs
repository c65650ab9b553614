//! Lists as tables: what a column is called and what stands in its cells.

use serde_json::Value;

use super::screen::{Screen, items};
use crate::t;

/// One column.
pub struct Col {
    label: &'static str,
    cell: fn(&Value, &Screen) -> String,
    number: bool,
}

/// A column of text.
pub fn col(label: &'static str, cell: fn(&Value, &Screen) -> String) -> Col {
    Col {
        label,
        cell,
        number: false,
    }
}

/// A column of numbers.
pub fn num(label: &'static str, cell: fn(&Value, &Screen) -> String) -> Col {
    Col {
        label,
        cell,
        number: true,
    }
}

/// The list of an answer with its total; `refs`, one for each item, are what other verbs take.
pub fn listed(data: &Value, screen: &Screen, refs: Option<Vec<String>>, columns: &[Col]) -> String {
    let rows = items(data, "items");
    if rows.is_empty() {
        return format!("{}\n", t!(screen.lang, "cli-empty"));
    }
    let total = data
        .get("total")
        .and_then(Value::as_i64)
        .unwrap_or(rows.len() as i64);
    let table = tabled(rows, screen, refs, columns);
    format!(
        "{table}{}\n",
        t!(screen.lang, "cli-total", n = screen.count(total))
    )
}

/// A table of some items.
pub fn tabled(
    rows: &[Value],
    screen: &Screen,
    refs: Option<Vec<String>>,
    columns: &[Col],
) -> String {
    let first = usize::from(refs.is_some());
    let mut head: Vec<String> = refs.iter().map(|_| screen.label("label-ref")).collect();
    head.extend(columns.iter().map(|c| screen.label(c.label)));
    let mut refs = refs.into_iter().flatten();
    let cells = |row: &Value| {
        let mut cells: Vec<String> = refs.next().into_iter().collect();
        cells.extend(columns.iter().map(|c| (c.cell)(row, screen)));
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let right: Vec<usize> = (0..columns.len())
        .filter(|i| columns[*i].number)
        .map(|i| i + first)
        .collect();
    screen.table(&head, rows, &right, if first == 1 { &[0] } else { &[] })
}

/// A heading with a part below it; nothing where the part is empty.
pub fn section(screen: &Screen, label: &str, part: &str) -> String {
    if part.is_empty() {
        String::new()
    } else {
        format!("\n{}\n{part}", screen.label(label))
    }
}
