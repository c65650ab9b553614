//! Every fault that nqsync must survive has an id, and every id has a test that carries it in its name: `a3_…`, or
//! `…_a4_…` where one test proves several. What is not proved yet stands in `faults_pending.txt`, which only shrinks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// All faults with what they are, by group: crash points, network, clock, disk, restored and copied nodes, versions,
/// hostile peers, adapters, bundles on a medium, operators.
const FAULTS: &[(&str, &str)] = &[
    (
        "a1",
        "killed after a write is on disk and before its user hears of it",
    ),
    ("a2", "killed with a batch received and not committed"),
    (
        "a3",
        "parent killed after the commit, its acknowledgement unsaid",
    ),
    (
        "a4",
        "child killed with an acknowledgement heard and not noted",
    ),
    (
        "a5",
        "killed while the write-ahead log is moved into the database",
    ),
    ("a6", "killed at any statement of a change of the schema"),
    (
        "a7",
        "killed at any step between the bytes of a file and its row",
    ),
    ("a8", "killed at any step of writing a bundle"),
    ("a9", "killed at any step of reading a bundle"),
    ("a10", "killed while rollups are counted"),
    ("a11", "killed at any step of renewing a certificate"),
    ("a12", "killed during a backup or a restore"),
    ("a13", "power cut during any of the above"),
    ("a14", "killed again during recovery, ten times in a row"),
    (
        "a15",
        "killed for lack of memory: the service, or a parsing worker",
    ),
    ("a16", "a panic in one request or one adapter"),
    ("b1", "no line for a minute to four hundred days"),
    (
        "b2",
        "a line that carries one way only: acknowledgements never return",
    ),
    ("b3", "a third lost, half doubled, out of order and late"),
    ("b4", "a thin line with two seconds of delay"),
    ("b5", "an upload torn at any byte"),
    ("b6", "the connection reset after the request was worked on"),
    ("b7", "each message delivered twice, or a week late"),
    ("b8", "a peer that stops reading and never closes"),
    ("b9", "somebody else answers at the parent's address"),
    ("b10", "large packets vanish"),
    ("b11", "all children return within a minute"),
    ("b12", "the parent away for a month"),
    ("b13", "a line that comes and goes every twenty seconds"),
    (
        "b14",
        "a proxy that frames requests anew or smuggles some in",
    ),
    ("c1", "a child's clock ten years ahead"),
    ("c2", "a child's clock at 1970 or 2000"),
    ("c3", "a clock that steps back, or jumps to and fro"),
    ("c4", "a clock that stands still"),
    ("c5", "a wrong time zone"),
    (
        "c6",
        "a certificate out of its dates only by the child's clock",
    ),
    ("c7", "two edits of one field in the same tick"),
    ("d1", "the disk full"),
    ("d2", "the disk full where the files are, and only there"),
    ("d3", "no inodes or no open files left"),
    ("d4", "a sync of the disk that fails"),
    ("d5", "bits flipped in the database"),
    ("d6", "bits flipped in a file, or a file cut short"),
    (
        "d7",
        "the log of the database lost, or replaced by an old one",
    ),
    ("d8", "a file system that turns read-only"),
    ("d9", "a disk a hundred times slower"),
    ("d10", "a disk that lies about its syncs"),
    ("d11", "a second service on the same directory"),
    (
        "d12",
        "somebody else in the process opens the database files",
    ),
    ("d13", "a person edits the database by hand"),
    ("d14", "an SQLite with the defect of the write-ahead log"),
    ("e1", "a child restored from an old copy"),
    ("e2", "a parent restored from an old copy"),
    ("e3", "a child and its parent both restored from old copies"),
    (
        "e4",
        "a virtual machine rolled back without anybody knowing",
    ),
    ("e5", "a node copied: two live ones with one identity"),
    ("e6", "the directory moved to a new machine"),
    (
        "e7",
        "the database restored without its files, or the files without it",
    ),
    ("e8", "a disk lost with no backup"),
    ("e9", "a unit merged, or moved to another parent"),
    ("e10", "a node back after a very long time"),
    (
        "e11",
        "a copy of a production node set up as a test site that connects",
    ),
    ("e12", "a configuration that names the wrong unit or level"),
    ("f1", "a child and a parent of neighbouring versions"),
    ("f2", "a field or a value that only a newer version knows"),
    ("f3", "an older program on the store of a newer one"),
    ("f4", "half the nodes upgraded while the line is down"),
    ("f5", "a form that the parent does not know yet"),
    (
        "g1",
        "a child sends what is outside its units, or speaks for a sibling",
    ),
    ("g2", "a child writes into what it does not own"),
    (
        "g3",
        "batches with a gap, a step back, or one number with two contents",
    ),
    (
        "g4",
        "bodies too large, too deep, or with values JSON cannot mean",
    ),
    ("g5", "a small body that unpacks into a huge one"),
    ("g6", "a peer that sends or reads as slowly as it can"),
    ("g7", "a stolen certificate"),
    ("g8", "recorded requests, tokens and codes sent again"),
    ("g9", "secret text under too low a level"),
    (
        "g10",
        "file names that are paths, devices or control characters",
    ),
    (
        "g11",
        "texts that a spreadsheet, a terminal or a browser would obey",
    ),
    ("g12", "a million tiny changes from one child"),
    (
        "g13",
        "a parent that deletes all, hides acknowledgements, or goes back in time",
    ),
    ("h1", "an endless, huge or dripping answer of a tracker"),
    ("h2", "a workbook made to burst its reader"),
    ("h3", "a tracker that redirects into the own network"),
    ("h4", "pages missing, doubled or out of order"),
    ("h5", "an empty list from a broken tracker"),
    ("h6", "a failure half-way, or another shape than yesterday"),
    ("h7", "a secret in an error text, a forged or repeated call"),
    ("ib1", "a bundle read twice, or at two stations"),
    ("ib2", "bundles out of order, or one missing"),
    ("ib3", "a bundle cut, altered, or signed by another key"),
    ("ib4", "an old bundle, valid once, read again"),
    ("ib5", "a bundle for somebody else, or out of date"),
    ("ib6", "a bundle with something above the level of its way"),
    (
        "ib7",
        "a medium pulled out, full, or with other things on it",
    ),
    ("ib8", "an exporter that never hears back"),
    ("j1", "the wrong parent, or the wrong root of trust"),
    ("j2", "the directory deleted under a running service"),
    ("j3", "a restore over a running service"),
    ("j4", "a link's level raised by mistake"),
    ("j5", "the wrong node revoked"),
    ("j6", "a mass deletion by a person"),
    ("j7", "a key that others can read"),
    ("j8", "an upgrade without a backup"),
    ("j9", "an operator who never looks at alarms"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The names of the tests in a source text, without those that do not run by themselves.
fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut runs = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            runs = true;
        } else if line.starts_with("#[ignore") {
            runs = false;
        } else if let Some(rest) = line
            .strip_prefix("async fn ")
            .or_else(|| line.strip_prefix("fn "))
            && std::mem::take(&mut runs)
        {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.push(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    names
}

/// The ids that a name carries.
fn ids_in(name: &str) -> impl Iterator<Item = &'static str> {
    let words: BTreeSet<String> = name.split('_').map(str::to_owned).collect();
    FAULTS
        .iter()
        .map(|(id, _)| *id)
        .filter(move |id| words.contains(*id))
}

/// Whether a name begins with what looks like an id. `i` alone is no group: that is how invariants are numbered.
fn claims_an_id(name: &str) -> bool {
    let first = name.split('_').next().unwrap_or_default();
    let letters = first.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.len() < first.len()
        && (letters == "ib"
            || (letters != "i" && letters.len() == 1 && ("a"..="j").contains(&letters)))
}

fn proved() -> BTreeMap<&'static str, Vec<String>> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "core/src", "core/tests"] {
        sources(&root().join(folder), &mut files);
    }
    let mut proved: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for name in tests_of(&text) {
            let mut known = false;
            for id in ids_in(&name) {
                known = true;
                proved.entry(id).or_default().push(name.clone());
            }
            assert!(
                known || !claims_an_id(&name),
                "{}: `{name}` begins with an id that no fault has",
                file.display()
            );
        }
    }
    proved
}

#[test]
fn every_fault_has_a_test_with_its_id_or_stands_among_the_pending_ones_and_never_both() {
    let text = std::fs::read_to_string(root().join("tests/faults_pending.txt"))
        .expect("the list of faults still to be proved");
    let pending: BTreeSet<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let known: BTreeSet<&str> = FAULTS.iter().map(|(id, _)| *id).collect();
    let proved = proved();
    let mut wrong = Vec::new();
    for id in pending.difference(&known) {
        wrong.push(format!("{id} is pending and is no fault"));
    }
    for (id, meaning) in FAULTS {
        match (proved.get(id), pending.contains(id)) {
            (None, false) => wrong.push(format!(
                "{id} ({meaning}) has no test whose name carries it, and is not pending"
            )),
            (Some(names), true) => wrong.push(format!(
                "{id} ({meaning}) is proved by {names:?}; take it off tests/faults_pending.txt"
            )),
            _ => {}
        }
    }
    println!("{} of {} faults have a test", proved.len(), FAULTS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_tests_that_run_count_and_only_by_a_whole_word_of_their_name() {
    let text = "#[test]\nfn a1_one() {}\n#[test]\n#[ignore = \"slow\"]\nfn a2_two() {}\n// fn a3_three()\nfn a4_four() {}\n#[tokio::test]\nasync fn both_a10_and_b3_hold() {}";
    let names = tests_of(text);
    assert_eq!(names, ["a1_one", "both_a10_and_b3_hold"]);
    assert_eq!(ids_in(&names[1]).collect::<Vec<_>>(), ["a10", "b3"]);
    assert!(claims_an_id("a99_none") && !claims_an_id("a_unit") && !claims_an_id("i1_is_kept"));
}
