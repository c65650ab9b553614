//! The catalogues agree with each other and with the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::t;
use fluent_bundle::FluentResource;

/// Key to the names of its arguments, from the text of a catalogue.
fn keys(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    assert!(
        FluentResource::try_new(source.to_owned()).is_ok(),
        "the catalogue has a broken entry"
    );
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = None;
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let (key, _) = line.split_once(" =").expect("an entry has a key and ` =`");
            assert!(!keys.contains_key(key), "{key} stands twice in a catalogue");
            current = Some(key.to_owned());
        }
        let Some(key) = &current else { continue };
        let names = keys.entry(key.clone()).or_default();
        for piece in line.split('$').skip(1) {
            let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
            names.insert(piece[..end.unwrap_or(piece.len())].to_owned());
        }
    }
    keys
}

/// Every string literal in `src/**/*.rs` (this file apart) and in the console's templates that could be a key, the beginning of a family of words, or
/// the code of a refusal, whose key is `err-<code>`.
fn literals() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the source is here") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "html")
                && !path.ends_with("text/tests.rs")
            {
                let source = std::fs::read_to_string(&path).expect("readable");
                let code = source
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                for line in code {
                    found.extend(
                        line.split('"')
                            .skip(1)
                            .filter(|s| is_key(s))
                            .map(Into::into),
                    );
                }
            }
        }
    }
    fn is_key(text: &str) -> bool {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain)
    }
    let mut found = BTreeSet::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found
}

#[test]
fn both_languages_have_the_same_keys_with_the_same_arguments() {
    assert_eq!(keys(VI), keys(EN));
}

#[test]
fn every_key_in_the_source_is_in_the_catalogue() {
    let known = keys(VI);
    let groups = [
        "cli-", "status-", "err-", "note-", "label-", "word-", "doctor-", "console-", "book-",
        "api-",
    ];
    for literal in literals() {
        if !groups.iter().any(|group| literal.starts_with(group)) {
            continue;
        }
        let found = match literal.ends_with('-') {
            true => known.keys().any(|key| key.starts_with(&literal)),
            false => known.contains_key(&literal),
        };
        assert!(
            found,
            "the source uses {literal:?}, the catalogue does not have it"
        );
    }
}

#[test]
fn no_key_is_unused() {
    let used = literals();
    let families: Vec<&String> = used
        .iter()
        .filter(|l| l.ends_with('-') && l.contains('-'))
        .collect();
    for key in keys(VI).keys() {
        let by_family = families
            .iter()
            .any(|family| key.starts_with(family.as_str()));
        let code = key
            .strip_prefix("err-")
            .or(key.strip_prefix("doctor-"))
            .map(|code| code.strip_suffix("-remedy").unwrap_or(code));
        let by_code = code.is_some_and(|code| used.contains(code));
        assert!(
            by_family || by_code || used.contains(key),
            "nothing uses the key {key:?}"
        );
    }
}

#[test]
fn a_message_carries_its_arguments_and_no_invisible_marks() {
    let said = t!(Lang::Vi, "cli-total", n = 32);
    assert!(said.contains("32"), "{said}");
    assert!(!said.contains(['\u{2068}', '\u{2069}']), "{said:?}");
}

#[test]
fn an_unknown_key_is_shown_and_an_unknown_word_is_none() {
    assert_eq!(text(Lang::En, "no-such-key", &[]), "no-such-key");
    assert_eq!(word(Lang::En, "word-status-", "no_such_status"), None);
}
