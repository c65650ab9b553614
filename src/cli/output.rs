//! Writing answers and failures: data to standard output, messages to standard error.

use std::io::Write;

use serde_json::{Value, json};

use super::screen::{Screen, clean};
use crate::api::{Answer, Failure, Lang};
use crate::t;
use crate::text::word;

/// How this process shows what it has.
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
    /// Where text goes.
    pub screen: Screen,
}

impl Output {
    /// Shows an answer: its data by `view`, its notes beside it.
    pub fn answer(&self, answer: &Answer, view: impl FnOnce(&Value) -> String) {
        if self.json {
            write_stdout(format!("{:#}\n", answer.data).as_bytes());
        } else {
            write_stdout(view(&answer.data).as_bytes());
        }
        for note in &answer.notes {
            say(&lines(note));
        }
    }
}

/// Writes data. A reader that goes away (`| head`) has had enough; that is no failure of ours.
pub fn write_stdout(bytes: &[u8]) {
    let mut stdout = anstream::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// One message for people.
pub fn say(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{message}");
}

/// Shows why a verb was not carried out.
pub fn print_failure(failure: &Failure, lang: Lang, json: bool) {
    if json {
        let error = json!({
            "code": failure.code, "message": failure.message, "exit": failure.exit.code(), "data": failure.data,
        });
        say(&json!({ "error": error }).to_string());
    } else {
        let head = t!(lang, "cli-error");
        say(&format!(
            "\x1b[1;31m{head}\x1b[0m {}",
            lines(&failure.message)
        ));
    }
}

/// A message keeps its lines, and nothing else that moves the cursor.
fn lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// What a verb that wrote something shows: the ids and values it answered, a line each. Lists are for `--json`, and so is
/// the token of a next write: nobody types it.
pub fn written(data: &Value, screen: &Screen) -> String {
    let mut shown = String::new();
    let fields = data.as_object().into_iter().flatten();
    for (name, value) in
        fields.filter(|(name, v)| (v.is_string() || v.is_number()) && *name != "token")
    {
        let label = word(screen.lang, "label-", name).unwrap_or_else(|| clean(name));
        let value = if name.ends_with("_at") {
            screen.time(value)
        } else {
            screen.plain(value)
        };
        shown.push_str(&format!("{label}: {value}\n"));
    }
    shown
}
