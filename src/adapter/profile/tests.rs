//! What an administrator is told about a profile that is wrong.

use super::*;

const GOOD: &str = r#"
format = 1
title = "Tracker"
engine = "http"

[http]
base_url = "https://tracker.example/api"
auth = { kind = "bearer", token = { file = "tracker.token" } }

[dictionary.status]
"Đang làm" = "in_progress"
"Xong" = "completed"

[[stream]]
name = "progress"
kind = "progress"
key = { ours = ".task.ref", theirs = ".code // null" }

[stream.http.list]
path = "issues"

[stream.fields.status]
theirs = ".state"
dictionary = "status"

[stream.fields.title]
ours = ".task.title"
theirs = ".subject"
direction = "out"

[[test]]
name = "one of theirs"
stream = "progress"
theirs = '{"id": 1}'
expect = '{}'
"#;

/// The problems after `from` was replaced by `to`: line, key and message of each.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let problems = parse(&text).expect_err("a profile with a mistake");
    let shown = problems
        .iter()
        .map(|p| format!("{}: {}: {}", p.line, p.key, p.message));
    shown.collect()
}

#[track_caller]
fn only(from: &str, to: &str, expected: &str) {
    assert_eq!(problems(from, to), [expected]);
}

#[test]
fn a_good_profile_has_no_problems() {
    parse(GOOD).expect("a good profile");
}

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    only(
        "dictionary = \"status\"",
        "dictionnary = \"status\"",
        "24: stream.progress.fields.status.dictionnary: is not known; did you mean dictionary?",
    );
    only(
        "title = \"Tracker\"",
        "title = \"Tracker\"\nfrequency = 3",
        "4: frequency: is not known here; known are brake, ceiling, dictionary, document, edxml, email, enabled, engine, \
         format, http, process, schedule, stream, tabular, test, title, unit, units",
    );
}

#[test]
fn a_wrong_word_lists_the_right_ones() {
    only(
        "kind = \"progress\"",
        "kind = \"progres\"",
        "16: stream.progress.kind: is \"progres\", did you mean \"progress\"?; allowed are \"tasks\", \"progress\", \
         \"texts\", \"indicators\", \"directives\"",
    );
    let found = problems("kind = \"bearer\"", "kind = \"token\"");
    assert!(
        found[0].starts_with("8: http.auth.kind: is \"token\"; allowed are \"none\", \"bearer\""),
        "{found:?}"
    );
}

#[test]
fn a_wrong_type_says_how_it_is_written() {
    only(
        "format = 1",
        "format = \"1\"",
        "2: format: is text; write a whole number without quotes",
    );
    only(
        "path = \"issues\"",
        "path = [\"issues\"]",
        "20: stream.progress.http.list.path: is a list; write text in quotes",
    );
}

#[test]
fn a_secret_in_the_profile_is_refused() {
    let found = problems("{ file = \"tracker.token\" }", "\"abc123\"");
    assert!(found[0].starts_with("8: http.auth.token: stands in this file, where everybody reads it; keep it outside: { file = "), "{found:?}");
    assert!(!found[0].contains("abc123"), "{found:?}");
    let found = problems("{ file = \"tracker.token\" }", "{ fil = \"x\" }");
    assert!(found[0].contains("is none of { file ="), "{found:?}");
}

#[test]
fn what_is_missing_is_named_where_it_belongs() {
    only(
        "title = \"Tracker\"\n",
        "",
        "1: title: is missing: What people call the system",
    );
    let found = problems(
        "key = { ours = \".task.ref\", theirs = \".code // null\" }",
        "key = { ours = \".task.ref\" }",
    );
    assert!(
        found[0].starts_with("17: stream.progress.key.theirs: is missing"),
        "{found:?}"
    );
    let found = problems(
        "[http]\nbase_url = \"https://tracker.example/api\"\nauth = { kind = \"bearer\", token = { file = \"tracker.token\" } }\n",
        "",
    );
    assert_eq!(
        found,
        ["4: http: is missing: engine = \"http\" needs the table [http]"]
    );
    only(
        "[stream.http.list]\npath = \"issues\"\n",
        "",
        "14: stream.progress.http: is missing: engine = \"http\" needs the table [stream.http]",
    );
}

#[test]
fn names_that_point_to_nothing_are_told_with_what_is_there() {
    only(
        "dictionary = \"status\"",
        "dictionary = \"statuses\"",
        "24: stream.progress.fields.status.dictionary: names \"statuses\", which is not there; did you mean \"status\"?",
    );
    only(
        "stream = \"progress\"\n",
        "stream = \"tasks\"\n",
        "33: test.one of theirs.stream: is \"tasks\"; there are progress",
    );
    let found = problems(
        "[stream.fields.title]\nours = \".task.title\"\n",
        "[stream.fields.results]\n",
    );
    assert!(found[0].starts_with("26: stream.progress.fields.results: is no field of a stream of kind progress; did you mean result?"), "{found:?}");
}

#[test]
fn a_word_of_ours_that_is_none_is_found_in_the_dictionary() {
    let found = problems("\"Xong\" = \"completed\"", "\"Xong\" = \"done\"");
    assert!(
        found[0].contains(
            "\"Xong\" = \"done\" is no status of ours; those are not_started, in_progress"
        ),
        "{found:?}"
    );
}

#[test]
fn dates_numbers_and_rules_that_cannot_be_read_are_told() {
    let date = |text: &str| {
        problems(
            "theirs = \".subject\"",
            &format!("theirs = \".subject\"\ndate = \"{text}\""),
        )
    };
    assert!(
        date("dmy")[0].contains("is \"dmy\"; write one of dd/mm/yyyy, iso, month, epoch, epoch_ms"),
        "{:?}",
        date("dmy")
    );
    assert!(
        date("%d/%m")[0].contains("cannot be read back"),
        "{:?}",
        date("%d/%m")
    );
    assert!(
        date("%Q")[0].contains("cannot be read back"),
        "{:?}",
        date("%Q")
    );
    let found = problems(
        "dictionary = \"status\"",
        "dictionary = \"status\"\nnumber = \"plain\"",
    );
    assert!(
        found[0].starts_with("25: stream.progress.fields.status.number: stands beside dictionary"),
        "{found:?}"
    );
    let found = problems(
        "[dictionary.status]",
        "[schedule]\ncron = [\"every day\"]\n\n[dictionary.status]",
    );
    assert!(
        found[0].starts_with("11: ") && found.len() == 1,
        "{found:?}"
    );
}

#[test]
fn a_test_is_json_and_has_one_side() {
    let found = problems("expect = '{}'", "expect = '{'\nours = '{}'");
    assert!(
        found[0].starts_with("35: test.one of theirs.expect: is no JSON"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("36: test.one of theirs.ours: stands beside theirs"),
        "{found:?}"
    );
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("format = 1", "format = true")
        .replace("path = \"issues\"", "pth = \"issues\"")
        .replace("theirs = \".state\"", "their = \".state\"");
    let lines: Vec<usize> = parse(&text)
        .expect_err("mistakes")
        .iter()
        .map(|p| p.line)
        .collect();
    assert_eq!(lines, [2, 20, 23]);
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let found = problems("engine = \"http\"", "engine = http");
    assert!(found[0].starts_with("4: "), "{found:?}");
}
