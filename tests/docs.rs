//! Documents that could drift from what they describe.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn every_direct_dependency_has_its_line_and_every_line_its_dependency() {
    let mut used = BTreeSet::new();
    for manifest in ["Cargo.toml", "core/Cargo.toml"] {
        let manifest: toml::Table = read(manifest).parse().unwrap();
        for section in ["dependencies", "dev-dependencies"] {
            used.extend(
                manifest
                    .get(section)
                    .and_then(|s| s.as_table())
                    .into_iter()
                    .flat_map(|t| t.keys().cloned()),
            );
        }
    }
    let page = read("docs/dependencies.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(listed, used);
}

#[test]
fn the_change_log_begins_with_the_version_that_is_built() {
    let log = read("CHANGELOG.md");
    let first = log
        .lines()
        .find_map(|line| line.strip_prefix("## "))
        .expect("a section for each version");
    assert!(first.starts_with(env!("CARGO_PKG_VERSION")), "{first}");
}

#[test]
fn the_service_is_bound_to_the_exit_codes_that_trying_again_cannot_mend() {
    let unit = read("systemd/nqsync.service");
    assert!(unit.contains("Type=notify\n") && unit.contains("WatchdogSec="));
    assert!(unit.contains("RestartPreventExitStatus=10 11 78\n"));
}

#[test]
fn the_batch_in_the_protocol_unpacks_to_the_lines_beside_it() {
    let page = read("docs/protocol.md");
    let block = |name: &str| {
        let after = page.split(&format!("```text {name}\n")).nth(1);
        let body = after.and_then(|rest| rest.split("```").next());
        body.unwrap_or_else(|| panic!("no block {name}")).to_owned()
    };
    let digits = block("batch-frame").replace('\n', "");
    let frame = nqsync_core::protocol::unhex(&digits).expect("hexadecimal digits");
    let text = zstd::decode_all(&frame[..]).expect("a zstd frame");
    assert_eq!(String::from_utf8(text).unwrap(), block("batch-lines"));
}

#[test]
fn every_problem_that_status_can_report_is_explained_to_operators() {
    let page = read("docs/operations.md");
    let source = read("src/node/commands/status.rs");
    let mut codes = BTreeSet::new();
    for part in source.split("\"problem-").skip(1) {
        let key = part.split('"').next().expect("the end of a text");
        if !key.is_empty() {
            codes.insert(key.replace('-', "_"));
        }
    }
    assert!(codes.len() > 5, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("| `{code}` |")), "{code}");
    }
}

#[test]
fn the_readme_names_every_exit_code_and_every_folder_it_lists_is_there() {
    let page = read("README.md");
    for part in read("src/api/exit.rs").split(" => ").skip(1) {
        if let Ok(code) = part.split(',').next().unwrap_or_default().parse::<u8>() {
            assert!(page.contains(&format!("\n| {code} | ")), "exit code {code}");
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        for name in row.split('|').nth(1).unwrap_or_default().split('`') {
            if name.ends_with('/') {
                assert!(root.join(name).is_dir(), "{name}");
            }
        }
    }
}

/// Every figure that the alert rules and the dashboard ask for is one that the program has.
#[test]
fn monitoring_files_ask_for_figures_that_exist() {
    let source = read("src/daemon/metrics.rs");
    for file in [
        "config/monitoring/alerts.yml",
        "config/monitoring/grafana.json",
    ] {
        let text = read(file);
        let names = text.split("nqsync_").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        let mut seen = 0;
        for name in names {
            assert!(
                source.contains(&format!("\"{name}\"")),
                "{file}: nqsync_{name}"
            );
            seen += 1;
        }
        assert!(seen > 10, "{file}");
    }
    let dashboard = read("config/monitoring/grafana.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
}

/// The sentences of one language.
fn catalogue(lang: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/text");
    let mut sentences = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the catalogue") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == format!("{lang}.ftl") || name.ends_with(&format!(".{lang}.ftl")) {
            let text = std::fs::read_to_string(&path).expect("text");
            let values = text.lines().filter_map(|line| line.split_once(" = "));
            sentences.extend(values.map(|(_, value)| value.to_owned()));
        }
    }
    sentences
}

#[test]
fn what_the_guides_call_a_button_or_a_page_stands_on_it_and_every_picture_is_there() {
    for lang in ["vi", "en"] {
        let sentences = catalogue(lang);
        let mut labels = 0;
        for reader in ["officer", "operator", "administrator"] {
            let file = format!("docs/guide/{reader}.{lang}.md");
            let page = read(&file);
            for bold in page.split("**").skip(1).step_by(2) {
                // What begins small is stressed, and no label.
                if bold.chars().next().is_some_and(char::is_uppercase) {
                    assert!(sentences.contains(bold), "{file}: nothing is called {bold}");
                    labels += 1;
                }
            }
            for picture in page.split("](../pictures/").skip(1) {
                let (name, _) = picture.split_once(')').expect("a name ends");
                assert!(name.ends_with(&format!(".{lang}.png")), "{file}: {name}");
                let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("docs/pictures")
                    .join(name);
                assert!(path.is_file(), "{file}: {name} is missing");
            }
        }
        assert!(labels > 30, "{labels} in {lang}");
    }
}
