//! Some hundred bad inputs, each with a stated verdict: what a clerk mistypes, what an office program spoils, what a stranger
//! makes up. Each is refused with the code and the words that its case states, and what is good beside it is taken.
//!
//! The cases stand in `tests/bad_inputs/KIND.txt`; `case.rs` says how they are written. `-- --nocapture` prints how many there
//! are of each kind.

#[path = "bad_inputs/case.rs"]
mod case;
#[path = "bad_inputs/commands.rs"]
mod commands;
#[path = "bad_inputs/readers.rs"]
mod readers;
#[path = "bad_inputs/workbooks.rs"]
mod workbooks;

mod support;

use case::{Case, cases};
use readers::{PLAIN, Reader, Seen, TABLES};

/// Fewer than this are not enough, over all kinds.
const AT_LEAST: usize = 300;

/// What of a verdict does not hold; nothing where all of it does.
fn unlike(kind: &str, case: &Case, seen: &Seen) -> Option<String> {
    let verdict = case.verdict.as_deref().unwrap_or_default();
    let silent: Vec<&String> = case
        .says
        .iter()
        .filter(|words| !seen.said.contains(*words))
        .collect();
    let hides = case.more("hides");
    if !hides.is_empty() && seen.said.contains(hides) {
        return Some(format!("{kind}, {}: it repeats {hides}", case.name));
    }
    let kept = case.keeps.is_none_or(|keeps| keeps == seen.kept);
    if seen.codes == verdict && silent.is_empty() && kept {
        return None;
    }
    Some(format!(
        "{kind}, {}: codes {:?}, {} kept; says\n    {}\n  and not {silent:?}",
        case.name,
        seen.codes,
        seen.kept,
        seen.said.trim_end().replace('\n', "\n    ")
    ))
}

/// All of these are as their verdict says, and the good ones beside them are taken.
fn judge(kinds: &[(&str, Vec<(Case, Seen)>)]) {
    let mut wrong = Vec::new();
    for (kind, judged) in kinds {
        wrong.extend(
            judged
                .iter()
                .filter_map(|(case, seen)| unlike(kind, case, seen)),
        );
        let is_good = |case: &Case| case.verdict.is_none();
        if judged
            .iter()
            .any(|(case, seen)| is_good(case) && seen.kept == 0)
        {
            wrong.push(format!("{kind}: a good input is not taken"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are unlike their verdict:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn read(kinds: &[(&'static str, Reader)]) {
    let judged: Vec<_> = kinds
        .iter()
        .map(|(kind, read)| {
            let seen = cases(kind).into_iter().map(|case| (read(&case), case));
            (*kind, seen.map(|(seen, case)| (case, seen)).collect())
        })
        .collect();
    judge(&judged);
}

#[test]
fn files_of_administrators_and_words_of_neighbours_are_refused_as_stated() {
    read(PLAIN);
}

#[test]
fn tables_of_clerks_are_refused_as_stated_and_their_good_rows_taken() {
    read(TABLES);
}

#[test]
fn workbooks_are_refused_as_stated_and_their_good_rows_taken() {
    assert_eq!(workbooks::good().kept, 2, "what they are made from");
    judge(&[("workbooks", workbooks::seen())]);
}

#[test]
fn the_program_refuses_as_stated_and_changes_nothing() {
    judge(&[("commands", commands::seen())]);
}

#[test]
fn there_are_hundreds_of_them() {
    let files = PLAIN.iter().chain(TABLES).map(|(kind, _)| *kind);
    let in_files = files.chain(["commands"]).map(|kind| {
        let bad = cases(kind).iter().filter(|c| c.verdict.is_some()).count();
        (kind, bad)
    });
    let mut all = 0;
    for (kind, count) in in_files.chain([("workbooks", workbooks::count())]) {
        println!("{count:>4} {kind}");
        all += count;
    }
    println!("{all:>4} bad inputs, each with its verdict");
    assert!(
        all >= AT_LEAST,
        "{all} bad inputs; at least {AT_LEAST} are asked for"
    );
}
