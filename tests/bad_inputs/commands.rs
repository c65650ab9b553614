//! Command lines through the program itself, on a store of its own: what it says, how it ends, and what is changed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::case::{Case, cases};
use super::readers::Seen;
use super::support::machine::{Machine, Ran};

/// Tables that hold what people entered.
const TABLES: [&str; 9] = [
    "record",
    "history",
    "node",
    "token",
    "blob",
    "quarantine",
    "hold",
    "import_row",
    "user",
];

/// The two nodes that are asked, and a place for files.
struct Desk {
    ministry: Machine,
    below: Machine,
    token: String,
    files: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let ministry = Machine::ministry("BO");
        let line = ["unit", "add", "79", "Tỉnh Mẫu", "--level", "province"];
        ministry.run(&line).expect(0);
        let task = [
            "task",
            "add",
            "--group",
            "III",
            "--number",
            "1",
            "--title",
            "Số hóa hồ sơ",
        ];
        ministry
            .run(&[&task[..], &["--lead", "BO"]].concat())
            .expect(0);
        // The first start of a service makes the authority, and with it tokens.
        ministry.serve().stop();
        let token = ministry.run(&["node", "token", "79", "--json"]).expect(0);
        let token = token.json()["token"].as_str().expect("a token").to_owned();
        let below = Machine::new();
        let init = [
            "init",
            "--unit",
            "79",
            "--level",
            "province",
            "--listen",
            "127.0.0.1:0",
        ];
        below.run(&init).expect(0);
        let files = tempfile::tempdir().expect("room");
        Desk {
            ministry,
            below,
            token,
            files,
        }
    }

    fn run(&self, case: &Case) -> Ran {
        let file = self.files.path().join(match case.more("file") {
            "" => "file",
            name => name,
        });
        std::fs::write(&file, &case.bytes).expect("room");
        let words = case.more("run").split(' ').map(|word| match word {
            "FILE" => file.display().to_string(),
            "TOKEN" => self.token.clone(),
            word => word.replace('·', " "),
        });
        let mut words: Vec<String> = words.collect();
        words.push("--json".to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let machine = match case.more("on") {
            "below" => &self.below,
            _ => &self.ministry,
        };
        let mut command = machine.command(&words);
        command.current_dir(self.files.path());
        super::support::machine::ran(command)
    }
}

/// Everything that people entered, row by row.
fn entered(machine: &Machine) -> Vec<String> {
    let rows = |connection: &Connection, table: &str| -> Vec<String> {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .expect("a table");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let cells: Result<Vec<String>, _> = (0..columns)
                .map(|at| row.get_ref(at).map(|cell| format!("{cell:?}")))
                .collect();
            Ok(format!("{table} {}", cells?.join(" ")))
        };
        let found = statement.query_map([], row).expect("rows");
        found.collect::<Result<_, _>>().expect("rows")
    };
    let store: &Path = &machine.at("store.db");
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = connection.expect("a store");
    TABLES
        .iter()
        .flat_map(|table| rows(&connection, table))
        .collect()
}

/// What was said: the failure, or the rows that an import refused.
fn heard(ran: &Ran) -> Seen {
    let mut seen = Seen::default();
    if let Ok(error) = serde_json::from_str::<Value>(&ran.err) {
        seen.codes
            .extend(error["error"]["code"].as_str().map(str::to_owned));
        seen.said = error["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        return seen;
    }
    let Ok(answer) = serde_json::from_str::<Value>(&ran.out) else {
        seen.codes.push("usage".to_owned());
        seen.said.clone_from(&ran.err);
        return seen;
    };
    seen.kept = answer["items"].as_array().map_or(0, Vec::len);
    for remark in answer["remarks"].as_array().into_iter().flatten() {
        if remark["severity"] == "refused" {
            seen.codes
                .extend(remark["code"].as_str().map(str::to_owned));
            let text = |name: &str| remark[name].as_str().unwrap_or_default();
            seen.said += &format!(
                "row {}, {}: {}\n",
                remark["row"],
                text("column"),
                text("message")
            );
        }
    }
    seen
}

/// Runs them all; what was seen, beside what had to be.
pub fn seen() -> Vec<(Case, Seen)> {
    let desk = Desk::new();
    let mut all = Vec::new();
    let mut before = entered(&desk.ministry);
    for case in cases("commands") {
        let ran = desk.run(&case);
        let mut seen = heard(&ran);
        let expected = match (case.more("exit"), &case.verdict) {
            ("", None) => 0,
            ("", Some(_)) => 2,
            (code, _) => code.parse().expect("an exit code"),
        };
        if ran.code != expected {
            seen.codes.push(format!("exit {}", ran.code));
        }
        let after = entered(&desk.ministry);
        let takes = matches!(expected, 0 | 3);
        if takes == (before == after) {
            let how = if takes {
                "nothing was taken"
            } else {
                "something was changed"
            };
            seen.codes.push(how.to_owned());
        }
        before = after;
        all.push((case, seen));
    }
    all
}
