//! The files of cases beside this one: what somebody hands in, and what has to be said of it.
//!
//! ```text
//! === name of the case
//! verdict: the codes of all that is refused, in order
//! says: words of the message || other words
//! hides: what must not be repeated, such as a password
//! keeps: how many others of the same file are taken all the same
//! base: good                     begins with the input of that name
//! swap: a part of it => what stands in its place
//! ---
//! the input, or what is added to it
//! ```
//!
//! In an input `⟦hex ff fe⟧` stands for bytes and `⟦times 1000 x⟧` for a long text. A `\n` in a swap is a line break. An
//! input called `=== @name` is a good one: its reader must take it, or the cases made from it would prove nothing.

use std::collections::BTreeMap;
use std::path::Path;

/// One input with its verdict.
pub struct Case {
    pub name: String,
    /// The codes, in order; `None` for a good input.
    pub verdict: Option<Vec<String>>,
    pub says: Vec<String>,
    pub keeps: Option<usize>,
    pub bytes: Vec<u8>,
    /// What else the reader has to know, such as which message it is.
    pub more: BTreeMap<String, String>,
}

impl Case {
    /// What else was said under this name.
    pub fn more(&self, name: &str) -> &str {
        self.more.get(name).map_or("", String::as_str)
    }
}

/// The cases of a kind.
pub fn cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_inputs");
    let file = folder.join(format!("{kind}.txt"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{kind}.txt: {e}"));
    let mut bases: BTreeMap<String, String> = BTreeMap::new();
    let mut found: Vec<Case> = Vec::new();
    for block in text.split("\n=== ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        let what = || format!("{kind}.txt, {name}");
        let (head, body) = match rest.split_once("---\n") {
            Some((head, body)) => (head, body),
            None => (rest, ""),
        };
        let mut lines = Vec::new();
        for line in head.lines().filter(|line| !line.is_empty()) {
            let pair = line.split_once(": ");
            lines.push(pair.unwrap_or_else(|| panic!("{}: {line}", what())));
        }
        let input = input(&lines, body, &bases, &what());
        if name.starts_with('@') {
            bases.insert(name.to_owned(), input.clone());
        }
        let mut case = Case {
            name: name.to_owned(),
            verdict: None,
            says: Vec::new(),
            keeps: None,
            bytes: expand(&input, &what()),
            more: BTreeMap::new(),
        };
        for (key, value) in lines {
            match key {
                "verdict" => case.verdict = Some(value.split(", ").map(str::to_owned).collect()),
                "says" => case.says = value.split(" || ").map(str::to_owned).collect(),
                "keeps" => case.keeps = Some(value.parse().expect("a number")),
                "base" | "swap" => {}
                other => drop(case.more.insert(other.to_owned(), value.to_owned())),
            }
        }
        let good = name.starts_with('@');
        assert_eq!(case.verdict.is_none(), good, "{}: its verdict", what());
        assert!(good || !case.says.is_empty(), "{}: its words", what());
        assert!(
            found.iter().all(|other| other.name != name),
            "{} stands twice",
            what()
        );
        found.push(case);
    }
    found
}

fn input(
    lines: &[(&str, &str)],
    body: &str,
    bases: &BTreeMap<String, String>,
    what: &str,
) -> String {
    let mut text = String::new();
    for (key, value) in lines {
        match *key {
            "base" => {
                let base = bases.get(&format!("@{value}"));
                text.push_str(base.unwrap_or_else(|| panic!("{what}: no base {value}")));
            }
            "swap" => {
                let (old, new) = value
                    .split_once("=>")
                    .unwrap_or_else(|| panic!("{what}: {value}"));
                let (old, new) = (
                    old.trim().replace("\\n", "\n"),
                    new.trim().replace("\\n", "\n"),
                );
                assert!(text.contains(&old), "{what}: {old} is not there");
                text = text.replacen(&old, &new, 1);
            }
            _ => {}
        }
    }
    text + body
}

fn expand(input: &str, what: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = input;
    while let Some((before, after)) = rest.split_once('⟦') {
        bytes.extend_from_slice(before.as_bytes());
        let (inside, after) = after.split_once('⟧').expect(what);
        match inside.split_once(' ').expect(what) {
            ("hex", digits) => bytes.extend(
                digits
                    .split(' ')
                    .map(|two| u8::from_str_radix(two, 16).expect(what)),
            ),
            ("times", more) => {
                let (count, piece) = more.split_once(' ').expect(what);
                bytes.extend(piece.repeat(count.parse().expect(what)).as_bytes());
            }
            (other, _) => panic!("{what}: {other}"),
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
