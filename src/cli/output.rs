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

/// How a field of an answer is shown.
#[derive(Clone, Copy)]
enum Shape {
    Plain,
    Time,
    Bytes,
    /// A word of the first of these families that has it.
    Word(&'static [&'static str]),
}

use Shape::{Bytes, Plain, Time, Word};

/// The fields of answers to verbs that write, in the order they are shown, with their labels. What is not here is for
/// `--json`, such as the token of a next write: nobody types it.
const FIELDS: &[(&str, &str, Shape)] = &[
    ("id", "label-id", Plain),
    ("node", "label-node", Plain),
    ("item", "label-n", Plain),
    ("warning", "label-n", Plain),
    ("record", "label-record", Plain),
    ("hold", "label-hold", Plain),
    ("approval", "label-approval", Plain),
    ("act", "label-act", Word(&["word-act-"])),
    ("code", "label-code", Plain),
    ("name", "label-name", Plain),
    ("kind", "label-kind", Word(&["word-kind-", "word-warning-"])),
    ("level", "label-level", Word(&["word-level-"])),
    ("role", "label-role", Word(&["word-role-"])),
    ("parent", "label-parent", Plain),
    ("group", "label-group", Plain),
    ("number", "label-number", Plain),
    ("date", "label-date", Time),
    ("title", "label-title", Plain),
    ("subtask", "label-subtask", Plain),
    ("summary", "label-summary", Plain),
    ("deliverable", "label-deliverable", Plain),
    ("kpi", "label-kpi", Plain),
    ("programme", "label-programme", Plain),
    ("responsible", "label-responsible", Plain),
    ("authority", "label-authority", Plain),
    ("task", "label-task", Plain),
    ("task_title", "label-title", Plain),
    ("target", "label-task", Plain),
    ("target_title", "label-title", Plain),
    ("field", "label-field", Word(&["word-register-"])),
    ("register", "label-field", Word(&["word-register-"])),
    ("issuer", "label-issuer", Plain),
    ("unit", "label-unit", Plain),
    ("units", "label-units", Plain),
    ("owner", "label-owner", Plain),
    ("proposer", "label-proposer", Plain),
    ("reviewer", "label-reviewer", Word(&["word-reviewer-"])),
    ("served_by", "label-served-by", Plain),
    ("period", "label-period", Plain),
    ("due", "label-due", Time),
    ("expected", "label-period-expected", Plain),
    ("received", "label-received", Plain),
    ("on_time", "label-period-on-time", Plain),
    ("since", "label-since", Time),
    ("status", "label-status", Word(&["word-status-"])),
    ("stated_status", "label-stated", Word(&["word-status-"])),
    ("percent", "label-percent", Plain),
    ("value", "label-value", Plain),
    ("numerator", "label-numerator", Plain),
    ("denominator", "label-denominator", Plain),
    ("ratio", "label-percent", Plain),
    ("result", "label-result", Word(&["word-retry-"])),
    ("difficulties", "label-difficulties", Plain),
    ("next_steps", "label-next-steps", Plain),
    ("evidence", "label-evidence", Plain),
    ("size", "label-size", Bytes),
    ("note", "label-note", Plain),
    (
        "state",
        "label-state",
        Word(&[
            "word-proposal-",
            "word-period-",
            "word-blob-",
            "word-node-",
            "word-hold-",
            "word-approval-",
        ]),
    ),
    ("receipt", "label-receipt", Word(&["word-receipt-"])),
    ("raised_at", "label-since", Time),
    ("cleared_at", "label-cleared", Time),
    ("silenced_by", "label-silenced-by", Plain),
    ("until", "label-until", Time),
    ("expires_at", "label-expires", Time),
    ("authority_pin", "label-authority-pin", Plain),
    ("before", "label-before", Plain),
    ("asked_by", "label-asked-by", Plain),
    ("decided_by", "label-decided-by", Plain),
    ("reason", "label-reason", Plain),
    ("decision", "label-decision", Plain),
    ("withdrawn_reason", "label-reason", Plain),
    ("decision_reason", "label-decision-reason", Plain),
    ("remaining", "label-conflicts-left", Plain),
    ("removed", "label-removed", Plain),
    ("overwritten", "label-overwritten", Plain),
    ("of", "label-of-records", Plain),
    ("restored", "label-restored", Plain),
    ("changed_since", "label-changed-since", Plain),
    ("elsewhere", "label-elsewhere", Plain),
    ("linked_tasks", "label-linked-tasks", Plain),
    ("peer", "label-peer", Plain),
    ("by", "label-by", Plain),
    ("at", "label-at", Time),
    ("added_at", "label-added", Time),
    ("submitted_at", "label-submitted", Time),
    ("enrolled_at", "label-enrolled", Time),
    ("last_contact_at", "label-last-contact", Time),
    ("revoked_at", "label-revoked", Time),
    ("upstream", "label-upstream", Plain),
    ("classification", "label-classification", Plain),
    ("to", "label-classification", Plain),
    ("dir", "label-data-dir", Plain),
    ("config", "label-config", Plain),
    ("written_to", "label-path", Plain),
    ("recovery_key", "label-recovery-key", Plain),
    ("nodes", "label-nodes", Plain),
    ("tasks", "label-tasks", Plain),
];

/// What a verb that wrote something shows: the ids and values it answered, a line each. Lists are for `--json`.
pub fn written(data: &Value, screen: &Screen) -> String {
    let shown = |(name, label, shape): &(&str, &str, Shape)| {
        let value = data.get(name)?;
        let told = value.is_number() || value.as_str().is_some_and(|text| !text.is_empty());
        told.then(|| {
            let value = shaped(value, *shape, screen);
            format!("{}: {value}\n", screen.label(label))
        })
    };
    FIELDS.iter().filter_map(shown).collect()
}

fn shaped(value: &Value, shape: Shape, screen: &Screen) -> String {
    match shape {
        Plain => screen.plain(value),
        Time => screen.time(value),
        Bytes => screen.bytes(value),
        Word(families) => value
            .as_str()
            .and_then(|text| {
                families
                    .iter()
                    .find_map(|family| word(screen.lang, family, text))
            })
            .unwrap_or_else(|| screen.plain(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::screen_in as screen;
    use super::*;
    use crate::text::text;

    #[test]
    fn every_field_has_a_label_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            for (name, label, _) in FIELDS {
                let shown = text(lang, label, &[]);
                assert_ne!(shown, *label, "{name} {lang:?}");
                let line = written(&json!({ *name: "x" }), &screen(lang));
                assert_eq!(line, format!("{shown}: x\n"));
            }
        }
    }

    #[test]
    fn values_are_words_and_unknown_fields_are_left_to_json() {
        let data = json!({
            "stated_status": "in_progress", "token": "opaque", "some_new_field": 7, "subtask": "", "late": true,
            "submitted_at": "2026-04-02T03:04:00Z", "field": "next_steps", "state": "open", "linked_tasks": 2,
        });
        assert_eq!(
            written(&data, &screen(Lang::En)),
            "Field: next steps\nStated status: in progress\nState: open\nTasks linked: 2\nSubmitted: 02/04/2026 10:04\n"
        );
    }
}
