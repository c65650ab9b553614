use std::path::{Path, PathBuf};

use super::*;

const MINIMAL: &str = "[node]\nunit = \"00123\"\nlevel = \"commune\"\n";

struct Case {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    set: Vec<(String, String)>,
}

impl Case {
    fn new(text: &str) -> Case {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), text).unwrap();
        Case {
            dir,
            env: Vec::new(),
            set: Vec::new(),
        }
    }

    fn env(mut self, name: &str, value: &str) -> Case {
        self.env.push((name.into(), value.into()));
        self
    }

    fn set(mut self, path: &str, value: &str) -> Case {
        self.set.push((path.into(), value.into()));
        self
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(
            &self.dir.path().join("config.toml"),
            self.env.clone().into_iter(),
            &self.set,
        )
    }

    /// The problems as they are printed, with the temporary folder left out.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.dir.path().display());
        let errors = self
            .load()
            .map(|l| l.config)
            .expect_err("this configuration is wrong");
        errors
            .to_string()
            .lines()
            .map(|l| l.replace(&folder, ""))
            .collect()
    }
}

#[track_caller]
fn only_problem(case: Case) -> String {
    let problems = case.problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

fn minimal_and(more: &str) -> Case {
    Case::new(&format!("{MINIMAL}{more}"))
}

#[test]
fn two_lines_are_a_whole_configuration() {
    let config = Case::new(MINIMAL).load().unwrap().config;
    assert_eq!(
        (config.node.unit.as_str(), config.node.level),
        ("00123", Level::Commune)
    );
    assert_eq!(config.node.data_dir, Path::new("/var/lib/nqsync"));
    assert_eq!(
        config.node.socket,
        Path::new("/var/lib/nqsync/control.sock")
    );
    assert_eq!(config.sync.batch_bytes, Size(4 << 20));
    assert_eq!(config.sync.debounce_ms.0.as_millis(), 500);
    assert_eq!(config.store.wal_checkpoint_pages, 16_000);
    assert!(config.upstream.is_none() && config.listen.is_none());
}

#[test]
fn a_section_header_alone_turns_its_defaults_on() {
    let listen = minimal_and("[listen]\n")
        .load()
        .unwrap()
        .config
        .listen
        .unwrap();
    assert_eq!(listen.max_connections_per_child, 4);
}

#[test]
fn every_default_fits_its_own_key() {
    for key in KEYS {
        if let Fallback::Value(literal) = key.fallback {
            assert!(default_of(key).is_some(), "{} = {literal}", key.path());
        }
    }
}

#[test]
fn a_later_layer_replaces_an_earlier_one_and_each_value_knows_its_origin() {
    let case = minimal_and(
        "[upstream]\nurl = \"https://file:1\"\nlong_poll_s = 20\n[sync]\ndebounce_ms = 1\n",
    )
    .env("NQSYNC_UPSTREAM_URL", "https://env:2/")
    .env("NQSYNC_SYNC_DEBOUNCE_MS", "2")
    .env("NQSYNC_SYNC_BATCH_BYTES", "1 MiB")
    .set("sync.debounce_ms", "3");
    let loaded = case.load().unwrap();
    assert_eq!(
        loaded.config.upstream.as_ref().unwrap().url,
        "https://env:2"
    );
    assert_eq!(loaded.config.sync.debounce_ms.0.as_millis(), 3);
    assert_eq!(loaded.config.sync.batch_bytes, Size(1 << 20));

    let text = show(&loaded, true, true).text;
    let folder = format!("{}/", case.dir.path().display());
    for line in [
        "url = \"https://env:2\"  # NQSYNC_UPSTREAM_URL",
        "long_poll_s = 20  # config.toml:6",
        "debounce_ms = 3  # --set sync.debounce_ms",
        "batch_bytes = \"1 MiB\"  # NQSYNC_SYNC_BATCH_BYTES",
        "backoff_min_s = 1  # default",
    ] {
        assert!(text.replace(&folder, "").contains(line), "{line}\n{text}");
    }
    let json = show(&loaded, true, true).json;
    assert_eq!(json["upstream"]["long_poll_s"]["origin"]["line"], 6);
    assert_eq!(show(&loaded, false, false).json["sync"]["debounce_ms"], 3);
    assert!(
        show(&loaded, false, false).json.get("store").is_none(),
        "only what was written"
    );
}

#[test]
fn what_is_shown_loads_again_as_the_same_configuration() {
    let first = minimal_and("[upstream]\nurl = \"https://p:7457\"\n[listen]\n")
        .load()
        .unwrap();
    let again = Case::new(&show(&first, true, true).text).load().unwrap();
    assert_eq!(again.config, first.config);
}

#[test]
fn all_problems_are_reported_at_once_with_line_key_and_what_is_allowed() {
    let case = Case::new(
        "[node]\nunit = 123\nlevel = \"district\"\n[upstream]\nurl = \"http://province:7457\"\nlong_pol_s = 5\n\
         connect_timeout_s = \"5s\"\n[sync]\nbatch_bytes = \"4 MB\"\nschedule = [\"* * *\"]\ndebounce_ms = 1.5\n\
         backoff_min_s = -1\n[links]\n",
    );
    let expected = [
        "config.toml:2: node.unit 123 is a number; a unit code is text: write it in quotes, unit = \"123\"",
        "config.toml:3: node.level \"district\" is not known; allowed are \"commune\", \"province\", \"ministry\"",
        "config.toml:5: upstream.url \"http://province:7457\" is not https; use https://host:port",
        "config.toml:6: upstream.long_pol_s is not known; did you mean upstream.long_poll_s?",
        "config.toml:7: upstream.connect_timeout_s \"5s\" is not a plain number; write a number of seconds, without a unit",
        "config.toml:9: sync.batch_bytes \"4 MB\" is not a size; allowed are the units B, KiB, MiB and GiB: write \"4 MiB\"",
        "config.toml:10: sync.schedule \"* * *\" is not a cron expression",
        "config.toml:11: sync.debounce_ms 1.5 is not a whole number; write a whole number of milliseconds, without a unit",
        "config.toml:12: sync.backoff_min_s -1 is out of range; allowed are 0.01 to 3600 seconds",
        "config.toml:13: links is not known; sections are [node], [listen], [upstream]",
    ];
    let problems = case.problems();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (found, expected) in problems.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn a_unit_code_with_leading_zeros_but_no_quotes_is_told_to_be_quoted() {
    let problem = only_problem(Case::new("[node]\nunit = 00123\nlevel = \"commune\"\n"));
    assert!(problem.starts_with("config.toml:2: node.unit"), "{problem}");
    assert!(
        problem.ends_with("write it in quotes, unit = \"00123\""),
        "{problem}"
    );
}

#[test]
fn after_a_syntax_error_the_other_lines_are_still_checked() {
    let problems =
        Case::new("[node]\nunit = \"1\nlevel = \"commune\"\n[log]\nlevel = \"loud\"\n").problems();
    assert!(problems[0].starts_with("config.toml:2:"), "{problems:#?}");
    assert!(
        problems
            .iter()
            .any(|p| p.starts_with("config.toml:5: log.level \"loud\"")),
        "{problems:#?}"
    );
}

#[test]
fn a_key_written_twice_is_refused() {
    let problem = only_problem(minimal_and("[log]\nlevel = \"info\"\nlevel = \"warn\"\n"));
    assert!(
        problem.starts_with("config.toml:6:") && problem.contains("duplicate"),
        "{problem}"
    );
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    let problems = Case::new("[upstream]\n").problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(
        problems[0].contains("node.unit is missing; write under [node]: unit = \"00123\""),
        "{problems:#?}"
    );
    assert!(
        problems[2].contains("upstream.url is missing"),
        "{problems:#?}"
    );
}

#[test]
fn unknown_keys_say_where_they_belong() {
    for (text, hint) in [
        ("[sync]\ndebounce_s = 1\n", "did you mean sync.debounce_ms?"),
        (
            "[sync]\nurl = \"https://p:1\"\n",
            "url belongs under [upstream]",
        ),
        (
            "[upstreem]\nurl = \"https://p:1\"\n",
            "did you mean [upstream]?",
        ),
        (
            "[store]\npassword = \"hush\"\n",
            "secrets never stand in this file",
        ),
    ] {
        let problem = only_problem(minimal_and(text));
        assert!(problem.contains(hint), "{problem}");
        assert!(!problem.contains("hush"), "{problem}");
    }
    let problem = only_problem(Case::new(&format!("unit = \"1\"\n{MINIMAL}")));
    assert!(problem.contains("unit belongs under [node]"), "{problem}");
}

#[test]
fn urls_other_than_https_host_port_are_refused_and_logins_in_them_not_repeated() {
    for (url, why) in [
        ("ftp://p:1", "is not https"),
        ("p:7457", "is not https"),
        ("https://", "is not a URL"),
        ("https://p:70000", "is not a URL"),
        ("https://p:1/sync", "has more than host and port"),
        ("https://me:hush@p:1", "holds a login"),
        ("http://me:hush@p:1", "is not https"),
        ("https://me:hush@p:99999", "is not a URL"),
    ] {
        let problem = only_problem(minimal_and(&format!("[upstream]\nurl = \"{url}\"\n")));
        assert!(problem.contains(why), "{problem}");
        assert!(!problem.contains("hush"), "{problem}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused_where_they_were_written() {
    let ministry = MINIMAL.replace("commune", "ministry");
    let upstream = "[upstream]\nurl = \"https://p:1\"\n";
    for (text, expected) in [
        (
            format!("{ministry}{upstream}"),
            "config.toml:5: upstream.url \"https://p:1\" contradicts node.level",
        ),
        (
            format!("{MINIMAL}[sync]\nbackoff_min_s = 400\n"),
            "config.toml:5: sync.backoff_min_s 400",
        ),
        (
            format!("{MINIMAL}[sync]\nbackoff_max_s = 0.5\n"),
            "config.toml:5: sync.backoff_max_s 0.5",
        ),
        (
            format!("{MINIMAL}{upstream}long_poll_s = 600\n"),
            "config.toml:6: upstream.long_poll_s 600",
        ),
    ] {
        let problem = only_problem(Case::new(&text));
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn a_ceiling_is_for_isolated_nodes_and_no_line_leads_into_a_store_above_none() {
    let isolated = format!("{MINIMAL}profile = \"isolated\"\nceiling = \"secret\"\n");
    let own = format!("{isolated}classification = \"secret\"\n");
    for (text, expected, why) in [
        (
            format!("{MINIMAL}ceiling = \"secret\"\n"),
            "config.toml:4: node.ceiling \"secret\" cannot be given",
            "117/2025/QH15",
        ),
        (
            isolated.replace("isolated", "networked"),
            "config.toml:5: node.ceiling \"secret\" cannot be given",
            "117/2025/QH15",
        ),
        (
            format!("{isolated}classification = \"top_secret\"\n"),
            "config.toml:6: node.classification \"top_secret\" is above",
            "node.ceiling",
        ),
        (
            format!("{isolated}[upstream]\nurl = \"https://p:1\"\nceiling = \"confidential\"\n"),
            "config.toml:8: upstream.ceiling \"confidential\" is more than a line carries",
            "bundle",
        ),
        (
            format!("{own}[listen]\n"),
            "config.toml:7: listen.address",
            "bundle",
        ),
        (
            format!("{own}[upstream]\nurl = \"https://p:1\"\n"),
            "config.toml:7: upstream.kind",
            "bundle",
        ),
    ] {
        let problem = only_problem(Case::new(&text));
        assert!(problem.contains(expected), "{problem}");
        assert!(problem.contains(why), "{problem}");
    }
    let by_bundle = format!("{own}[upstream]\nurl = \"https://p:1\"\nkind = \"bundle\"\n");
    for good in [isolated, own, by_bundle] {
        let loaded = Case::new(&good).load();
        loaded.unwrap_or_else(|e| panic!("{good}: {e}"));
    }
}

#[test]
fn regimes_and_days_are_read_and_what_cannot_be_read_is_told_with_what_is_allowed() {
    let case = minimal_and(
        "[reporting]\nregimes = [\"weekly\", \"ward: month before 20 for 00123\"]\nremind_before_days = [5, 0]\n",
    )
    .env("NQSYNC_REPORTING_REMIND_AFTER_DAYS", "1, 7");
    let reporting = case.load().unwrap().config.reporting;
    assert_eq!(
        reporting.regimes,
        ["weekly", "ward: month before 20 for 00123"]
    );
    assert_eq!(reporting.remind_before_days, [5, 0]);
    assert_eq!(reporting.remind_after_days, [1, 7]);
    for (text, part) in [
        (
            "regimes = [\"fortnightly\"]",
            "\"fortnightly\" is no regime: \"fortnightly\" is no built-in regime; write a built-in regime (weekly,",
        ),
        (
            "regimes = [\"ward: month before 32\"]",
            "\"before 32\" is no deadline",
        ),
        (
            "regimes = [\"weekly\", \"weekly for 1\"]",
            "names a regime twice",
        ),
        ("regimes = \"weekly\"", "is text; write a list of regimes"),
        (
            "remind_before_days = [61]",
            "61 is out of range; allowed are 0 to 60",
        ),
        ("remind_after_days = [\"1d\"]", "write a list of days"),
    ] {
        let problem = only_problem(minimal_and(&format!("[reporting]\n{text}\n")));
        assert!(
            problem.starts_with("config.toml:5: reporting.re"),
            "{problem}"
        );
        assert!(problem.contains(part), "{problem}\n{part}");
    }
}

#[test]
fn paths_in_the_file_count_from_the_file_and_must_have_a_parent() {
    let case = minimal_and("data_dir = \"data\"\n");
    let node = case.load().unwrap().config.node;
    assert_eq!(node.data_dir, case.dir.path().join("data"));
    assert_eq!(node.socket, case.dir.path().join("data/control.sock"));

    let problem = only_problem(minimal_and("data_dir = \"no/such/folder\"\n"));
    assert!(
        problem.contains("lies in a folder that does not exist"),
        "{problem}"
    );
    let problem = only_problem(minimal_and("data_dir = \"config.toml\"\n"));
    assert!(problem.contains("is not a folder"), "{problem}");
    let problem = only_problem(minimal_and("socket = \"no/such/control.sock\"\n"));
    assert!(
        problem.starts_with("config.toml:4: node.socket"),
        "{problem}"
    );
    let problem = only_problem(minimal_and(&format!(
        "data_dir = \"{}\"\n",
        "d".repeat(120)
    )));
    assert!(problem.contains("at most 107 bytes"), "{problem}");
    let problem = only_problem(Case::new(MINIMAL).env("NQSYNC_NODE_DATA_DIR", "data"));
    assert!(problem.contains("is a relative path"), "{problem}");
}

#[test]
fn mistakes_in_variables_and_flags_name_the_variable_or_flag() {
    let case = Case::new(MINIMAL)
        .env("NQSYNC_SYNC_DEBOUNCE_MS", "soon")
        .env("NQSYNC_UPSTREM_URL", "https://p:1")
        .env("NQSYNC_STORE_COLOUR", "red")
        .env("NQSYNC_LOG", "debug")
        .env("NQSYNC_CONFIG", "x")
        .env("PATH", "/bin")
        .set("sync.debounce", "1")
        .set("nod.unit", "7")
        .set("log.level", "loud");
    let problems = case.problems();
    let expected = [
        "NQSYNC_STORE_COLOUR: stands for no key; known are NQSYNC_STORE_READERS",
        "NQSYNC_SYNC_DEBOUNCE_MS: sync.debounce_ms \"soon\" is text; write a whole number of milliseconds",
        "NQSYNC_UPSTREM_URL: stands for no key; did you mean NQSYNC_UPSTREAM_URL?",
        "--set sync.debounce: sync.debounce is not known; did you mean sync.debounce_ms?",
        "--set nod.unit: nod.unit is not known; did you mean node.unit?",
        "--set log.level: log.level \"loud\" is not known; allowed are",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (found, expected) in problems.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn lists_in_variables_are_toml_or_divided_text() {
    let config = minimal_and("[listen]\n")
        .env("NQSYNC_LISTEN_NAMES", "a.example, 10.0.0.1")
        .env("NQSYNC_SYNC_SCHEDULE", "0,30 * * * *; 0 9 * * THU")
        .load()
        .unwrap()
        .config;
    assert_eq!(config.listen.unwrap().names, ["a.example", "10.0.0.1"]);
    assert_eq!(
        config
            .sync
            .schedule
            .iter()
            .map(CronRule::as_str)
            .collect::<Vec<_>>(),
        ["0,30 * * * *", "0 9 * * THU"]
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_told_apart() {
    let missing = load(Path::new("/no/such/config.toml"), std::iter::empty(), &[]).unwrap_err();
    assert!(missing.file_missing && missing.to_string().contains("nqsync init"));
    let case = Case::new("");
    std::fs::write(
        case.dir.path().join("config.toml"),
        b"[node]\nunit = \"\xff\"\n",
    )
    .unwrap();
    assert_eq!(
        only_problem(case),
        "config.toml:2: is not UTF-8 text; save it again as UTF-8"
    );
}

#[test]
fn hostile_files_are_refused_without_a_crash() {
    let deep = format!("{MINIMAL}x = {}", "[".repeat(100_000));
    assert!(Case::new(&deep).load().is_err());
    for text in [
        "\u{feff}",
        "= 1",
        "[node]\nunit = 99999999999999999999999",
        "node = 3",
        "[[node]]",
        "[node]\nunit=\"a\\u0007\"",
    ] {
        assert!(Case::new(text).load().is_err(), "{text:?}");
    }
}

#[test]
fn flag_then_variable_then_the_usual_place_decide_which_file_is_read() {
    assert_eq!(path(Some(Path::new("a")), Some("b")), PathBuf::from("a"));
    assert_eq!(path(None, Some("b")), PathBuf::from("b"));
    assert_eq!(path(None, Some("")), PathBuf::from(DEFAULT_PATH));
}

#[test]
fn the_schema_the_types_and_the_key_table_name_the_same_keys() {
    let schema = schema();
    for (section, _) in keys::SECTIONS {
        let properties = schema["properties"][section]["properties"]
            .as_object()
            .unwrap();
        let mut typed: Vec<_> = properties.keys().map(String::as_str).collect();
        let mut table: Vec<_> = KEYS
            .iter()
            .filter(|k| k.section == *section)
            .map(|k| k.name)
            .collect();
        typed.sort_unstable();
        table.sort_unstable();
        assert_eq!(typed, table, "[{section}]");
        assert_eq!(schema["properties"][section]["additionalProperties"], false);
    }
    assert_eq!(
        schema["properties"].as_object().unwrap().len(),
        keys::SECTIONS.len()
    );
    assert_eq!(
        schema["properties"]["node"]["required"],
        serde_json::json!(["unit", "level"])
    );
    assert_eq!(
        schema["properties"]["sync"]["properties"]["batch_bytes"]["default"],
        4 << 20
    );
}

const SAMPLES: [(Level, &[(&str, &str)]); 3] = [
    (
        Level::Commune,
        &[
            ("node.unit", "\"00123\""),
            ("node.level", "\"commune\""),
            ("upstream.url", "\"https://province.example:7457\""),
            ("console.address", "\"127.0.0.1:7480\""),
        ],
    ),
    (
        Level::Province,
        &[
            ("node.unit", "\"66\""),
            ("node.level", "\"province\""),
            ("listen.address", "\"0.0.0.0:7457\""),
            ("listen.names", "[\"province.example\"]"),
            ("upstream.url", "\"https://ministry.example:7457\""),
            ("console.address", "\"127.0.0.1:7480\""),
        ],
    ),
    (
        Level::Ministry,
        &[
            ("node.unit", "\"BO\""),
            ("node.level", "\"ministry\""),
            ("listen.address", "\"0.0.0.0:7457\""),
            ("listen.names", "[\"ministry.example\"]"),
            ("console.address", "\"127.0.0.1:7480\""),
        ],
    ),
];

/// Run once with NQSYNC_WRITE_SAMPLES=1 after changing the key table; the difference is then read in review.
#[test]
fn the_sample_files_are_what_the_key_table_says() {
    for (level, set) in SAMPLES {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{}.toml", level.as_str()));
        let expected = sample(level, set);
        if std::env::var_os("NQSYNC_WRITE_SAMPLES").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap();
        assert!(
            found == expected,
            "{} differs; write it anew with NQSYNC_WRITE_SAMPLES=1",
            file.display()
        );
    }
}

#[test]
fn each_sample_loads_and_names_every_key_with_its_default() {
    for (level, _) in SAMPLES {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{}.toml", level.as_str()));
        let loaded = load(&file, std::iter::empty(), &[]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.config.node.level, level);

        let text = std::fs::read_to_string(&file).unwrap();
        let mut section = "";
        let mut named = std::collections::BTreeSet::new();
        for line in text.lines().map(|l| l.trim_start_matches('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name;
            } else if let Some((name, _)) = line.split_once(" = ") {
                named.insert(format!("{section}.{name}"));
            }
        }
        for key in KEYS {
            assert!(
                named.contains(&key.path()),
                "{} does not name {}",
                file.display(),
                key.path()
            );
        }
    }
}

#[test]
fn a_sample_with_every_comment_sign_removed_is_still_valid() {
    let set = SAMPLES[1].1;
    let all: String = sample(Level::Province, set)
        .lines()
        .map(|l| {
            if l.starts_with('#') && !l.starts_with("# ") {
                &l[1..]
            } else {
                l
            }
        })
        .map(|l| format!("{l}\n"))
        .collect();
    Case::new(&all).load().unwrap_or_else(|e| panic!("{e}"));
}
