//! The profiles that are shipped, and what a person meets who makes one.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::tz::TimeZone;
use nqsync::adapter::mapping::{MapLimits, Mapper};
use nqsync::adapter::profile::{self, Direction};
use nqsync::adapter::template::TEMPLATES;
use nqsync::adapter::{run, self_test, simulate};
use support::outside::{Back, Bench, CASES};
use tempfile::TempDir;

fn shipped() -> Vec<PathBuf> {
    let adapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters");
    let entries = fs::read_dir(adapters).expect("the folder adapters/");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

#[test]
fn every_system_has_a_profile_a_page_for_administrators_and_fixtures() {
    for folder in shipped() {
        let name = folder.display();
        assert!(
            folder.join("profile.toml").is_file(),
            "{name} has no profile.toml"
        );
        let page = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        let page = page.to_lowercase();
        for part in ["known", "assumed"] {
            assert!(
                page.contains(part),
                "{name}/README.md does not say what is {part}"
            );
        }
        let fixtures = fs::read_dir(folder.join("fixtures")).map(|entries| entries.count());
        assert!(
            fixtures.is_ok_and(|count| count > 0),
            "{name} has no fixtures"
        );
    }
}

#[test]
fn every_system_has_a_line_in_the_list_of_systems() {
    let page = include_str!("../adapters/README.md");
    for folder in shipped() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        assert!(
            page.contains(&format!("| `{name}` |")),
            "adapters/README.md: {name}"
        );
    }
}

#[test]
fn every_system_is_a_template() {
    let folders: BTreeSet<String> = shipped()
        .iter()
        .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
        .collect();
    let templates = TEMPLATES
        .iter()
        .map(|template| template.name.to_owned())
        .collect();
    assert_eq!(folders, templates, "src/adapter/template.rs");
}

#[tokio::test]
async fn every_shipped_profile_passes_its_own_tests_in_both_directions() {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled");
    for folder in shipped() {
        let file = folder.join("profile.toml");
        let loaded = profile::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let profile = &loaded.profile;
        assert!(!profile.enabled, "{} is enabled by itself", file.display());
        let exe = Path::new(env!("CARGO_BIN_EXE_nqsync"));
        let mapper = Mapper::start(exe, run::programs(profile), MapLimits::default()).await;
        let mapper = mapper.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let tests = self_test::run(profile, &mapper, &zone)
            .await
            .expect("a mapping process");
        for test in tests {
            assert!(test.passed(), "{}: {test:#?}", file.display());
        }
        for stream in &profile.streams {
            let of = || {
                profile
                    .tests
                    .iter()
                    .filter(|test| test.stream == stream.name)
            };
            let reads = stream
                .fields
                .values()
                .any(|f| f.theirs.is_some() && f.direction != Direction::Out);
            let writes = stream.write.create.is_some() || stream.write.update.is_some();
            let at = format!("{}: stream {}", file.display(), stream.name);
            assert!(
                !reads || of().any(|test| test.theirs.is_some()),
                "{at} has no test of theirs"
            );
            assert!(
                !writes || of().any(|test| test.ours.is_some()),
                "{at} has no test of ours"
            );
        }
    }
}

#[test]
fn every_simulator_has_a_profile_that_is_run_against_it() {
    let mut simulators = simulate::names();
    simulators.sort_unstable();
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(simulators, cases, "tests/support/outside.rs");
    let templates: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
    for name in cases {
        assert!(templates.contains(&name), "adapters/{name}");
    }
}

#[tokio::test]
async fn what_is_entered_here_arrives_there_and_an_edit_there_becomes_what_the_profile_says() {
    for case in CASES {
        let (bench, name) = (Bench::new(*case, 3).await, case.name);
        if case.begins_there {
            bench.run_well().await;
        }
        bench.set(1, "41").await;
        bench.set(2, "52").await;
        bench.run_well().await;
        bench.approve();
        for (number, expected) in [(1, "41"), (2, "52")] {
            assert_eq!(bench.there(number), [expected], "{name}: item {number}");
        }
        let without_value = bench.there(3).len();
        assert_eq!(without_value, usize::from(case.empty_too), "{name}");
        bench.assert_rest("after the first run").await;

        bench.edit(2, "63");
        let outcome = bench.run().await;
        bench.approve();
        let (there, here) = match case.back {
            Back::Arrives => ("63", "63"),
            Back::Undone => ("52", "52"),
            Back::Kept => ("63", "52"),
        };
        let told = format!("{name}: {:?}", outcome.streams);
        assert_eq!(bench.there(2), [there], "{told}");
        assert_eq!(bench.here(2).await, here, "{told}");
        assert_eq!(bench.here(1).await, "41", "{told}");
        let word = if case.back == Back::Kept {
            "partly"
        } else {
            "done"
        };
        assert_eq!(outcome.word(), word, "{told}");
        bench.assert_rest("after the second run").await;
    }
}

#[tokio::test]
async fn the_example_in_the_documentation_passes_its_own_tests() {
    let page = include_str!("../docs/adapters.md");
    let example = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("example.toml");
    fs::write(&file, example.expect("an example")).expect("a profile");
    let loaded = profile::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
    let exe = Path::new(env!("CARGO_BIN_EXE_nqsync"));
    let programs = run::programs(&loaded.profile);
    let mapper = Mapper::start(exe, programs, MapLimits::default())
        .await
        .expect("mappings");
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled");
    let tests = self_test::run(&loaded.profile, &mapper, &zone)
        .await
        .expect("a process");
    assert_eq!(tests.len(), 2);
    for test in tests {
        assert!(test.passed(), "{test:#?}");
    }
}

#[test]
fn every_key_of_the_format_is_explained_somewhere() {
    let mut texts = String::new();
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for page in fs::read_dir(pages).expect("the folder docs/") {
        let page = page.expect("a page");
        if page.file_name().to_string_lossy().starts_with("adapter") {
            texts += &fs::read_to_string(page.path()).expect("a page");
        }
    }
    for folder in shipped() {
        texts += &fs::read_to_string(folder.join("profile.toml")).expect("a profile");
        texts += &fs::read_to_string(folder.join("README.md")).expect("a page");
    }
    let words: BTreeSet<&str> = texts
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let schema = profile::schema();
    let tables = schema["$defs"].as_object().expect("tables").values();
    let variants =
        |table: &serde_json::Value| table["oneOf"].as_array().cloned().unwrap_or_default();
    let tables: Vec<serde_json::Value> = tables
        .cloned()
        .flat_map(|t| variants(&t).into_iter().chain([t]))
        .collect();
    let keys = tables.iter().chain([&schema]);
    let keys = keys.filter_map(|table| table["properties"].as_object());
    let keys: BTreeSet<&str> = keys
        .flat_map(|keys| keys.keys().map(String::as_str))
        .collect();
    let unexplained: Vec<&&str> = keys.difference(&words).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

/// A folder beside a configuration that need not be there, and the program in it.
struct Desk(TempDir);

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().expect("a folder"))
    }

    fn nqsync(&self, args: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_nqsync"))
            .args(["--lang", "en", "--dir"])
            .arg(self.0.path())
            .args(args)
            .env_remove("NQSYNC_CONFIG")
            .stdin(Stdio::null())
            .output()
            .expect("the program");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn profile(&self) -> PathBuf {
        self.0.path().join("adapters.d/tracker.toml")
    }

    /// A profile made from the template `rest`, with a part of its text replaced.
    fn changed(&self, from: &str, to: &str) -> Ended {
        self.nqsync(&["adapter", "new", "tracker"]);
        let text = fs::read_to_string(self.profile()).expect("a profile");
        assert!(text.contains(from), "{from}");
        fs::write(self.profile(), text.replacen(from, to, 1)).expect("a changed profile");
        self.nqsync(&["adapter", "test", "tracker"])
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_new_profile_is_made_without_a_question_and_passes_its_tests() {
    let desk = Desk::new();
    let made = desk.nqsync(&[
        "adapter",
        "new",
        "tracker",
        "--set",
        "http.base_url=https://nv.example.vn/api",
        "--set",
        "stream.progress.http.paging.limit=25",
        "--set",
        "http.headers={ Accept-Language = \"vi\" }",
    ]);
    assert_eq!(made.code, 0, "{}", made.err);
    has(
        &made.err,
        &["nqsync adapter test tracker", "http.auth.token.file"],
    );
    assert!(!made.err.contains("http.base_url"), "{}", made.err);
    let text = fs::read_to_string(desk.profile()).expect("a profile");
    has(
        &text,
        &[
            "base_url = \"https://nv.example.vn/api\"",
            "limit = 25",
            "tracker.token",
            "Accept-Language",
        ],
    );
    let tested = desk.nqsync(&["adapter", "test", "tracker"]);
    assert_eq!(tested.code, 0, "{}{}", tested.out, tested.err);
    has(&tested.out, &["passed  a task under way there"]);

    let again = desk.nqsync(&["adapter", "new", "tracker"]);
    assert_eq!(again.code, 2);
    has(&again.err, &["is there already; nothing was changed"]);
    assert_eq!(fs::read_to_string(desk.profile()).expect("a profile"), text);
}

#[test]
fn a_key_that_does_not_exist_or_does_not_fit_makes_no_profile() {
    let desk = Desk::new();
    for (set, expected) in [
        (
            "http.base_ulr=https://x",
            "http.base_ulr: is not known; did you mean base_url?",
        ),
        (
            "stream.progress.http.paging.limit=many",
            "write a TOML integer",
        ),
        (
            "http.auth.kind=oauth",
            "is \"oauth\", did you mean \"oauth2\"?",
        ),
        (
            "http.auth={ kind = \"bearer\", token = \"abc\" }",
            "is a table",
        ),
    ] {
        let made = desk.nqsync(&["adapter", "new", "tracker", "--set", set]);
        assert_eq!(made.code, 2, "{set}: {}", made.err);
        has(&made.err, &[expected]);
        assert!(!desk.profile().exists(), "{set}");
    }
    assert_eq!(desk.nqsync(&["adapter", "new", "../x"]).code, 2);
    assert_eq!(
        desk.nqsync(&["adapter", "new", "x", "--template", "nope"])
            .code,
        2
    );
}

#[test]
fn a_profile_goes_to_standard_output_when_asked() {
    let desk = Desk::new();
    let made = desk.nqsync(&[
        "adapter",
        "new",
        "tracker",
        "--to",
        "-",
        "--set",
        "title=Theo dõi",
    ]);
    assert_eq!(made.code, 0, "{}", made.err);
    has(&made.out, &["title = \"Theo dõi\""]);
    assert!(!desk.profile().exists());
}

#[test]
fn a_test_that_fails_shows_what_was_expected_and_what_came() {
    let desk = Desk::new();
    let tested = desk.changed(
        "theirs = \".percent_done // null\"",
        "theirs = \".progress // null\"",
    );
    assert_eq!(tested.code, 1, "{}{}", tested.out, tested.err);
    has(
        &tested.out,
        &[
            "FAILED  a task under way there",
            "fields.percent",
            "- \"60\" (expected)",
            "+ nothing (got)",
        ],
    );
    has(&tested.err, &["1 of 4 tests fail"]);
    let json = desk.nqsync(&["--json", "adapter", "test", "tracker"]);
    let data: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&data["passed"], &data["failed"]), (&3.into(), &1.into()));
    assert_eq!(data["items"][0]["differences"][0]["path"], "fields.percent");
}

#[test]
fn a_status_that_is_in_no_dictionary_is_told_with_the_known_words() {
    let desk = Desk::new();
    let tested = desk.changed("\"status\": \"đang  thực hiện\"", "\"status\": \"Treo\"");
    assert_eq!(tested.code, 1);
    has(
        &tested.out,
        &["status: \"Treo\" is not in the dictionary status (Chưa bắt đầu, Đang thực hiện"],
    );
}

#[test]
fn expressions_that_loop_fail_or_give_two_values_are_named_with_their_input() {
    for (jq, expected) in [
        ("last(repeat(1))", "CPU time"),
        (".status.text", "cannot index"),
        (".status, .title", "more than one value"),
        ("empty", "no value"),
    ] {
        let desk = Desk::new();
        let tested = desk.changed(
            "theirs = \".status // null\"",
            &format!("theirs = \"{jq}\""),
        );
        assert_eq!(tested.code, 1, "{jq}: {}", tested.err);
        has(
            &tested.out,
            &[expected, "progress.theirs.fields.status", jq, "III/12"],
        );
    }
}

#[test]
fn an_expression_that_is_no_jq_is_told_with_the_line_of_the_profile() {
    let desk = Desk::new();
    let tested = desk.changed(
        "theirs = \".status // null\"",
        "theirs = \".status | nosuch\"",
    );
    assert_eq!(tested.code, 78);
    let text = fs::read_to_string(desk.profile()).expect("a profile");
    let line = text
        .lines()
        .position(|l| l.contains("nosuch"))
        .expect("the line")
        + 1;
    has(
        &tested.err,
        &[
            &format!("tracker.toml:{line}: "),
            "there is no filter nosuch",
            "column 11",
        ],
    );
}

#[test]
fn a_profile_without_a_test_cannot_be_enabled() {
    let desk = Desk::new();
    desk.nqsync(&["adapter", "new", "tracker"]);
    let text = fs::read_to_string(desk.profile()).expect("a profile");
    let without = text
        .split("[[test]]")
        .next()
        .expect("a beginning")
        .to_owned();
    fs::write(desk.profile(), &without).expect("a profile");
    let tested = desk.nqsync(&["adapter", "test", "tracker"]);
    assert_eq!(tested.code, 1, "{}", tested.err);
    has(&tested.err, &["no [[test]]"]);
    fs::write(
        desk.profile(),
        without.replace("enabled = false", "enabled = true"),
    )
    .expect("a profile");
    let tested = desk.nqsync(&["adapter", "test", "tracker"]);
    assert_eq!(tested.code, 78, "{}", tested.err);
    has(&tested.err, &["enabled: is true, but there is no [[test]]"]);
}

#[test]
fn the_schema_is_json_and_knows_every_table() {
    let desk = Desk::new();
    let printed = desk.nqsync(&["adapter", "schema"]);
    assert_eq!(printed.code, 0);
    let schema: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    for key in ["engine", "stream", "test", "dictionary", "units", "http"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}
