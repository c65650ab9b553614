//! A workbook is a replica too: it leaves, is edited while the records change, and comes back.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A ministry with three tasks of its own, each with a report.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk {
            dir: tempfile::tempdir().expect("a folder"),
        };
        desk.ok(&[
            "init",
            "--unit",
            "BO",
            "--level",
            "ministry",
            "--name",
            "Bộ mẫu",
        ]);
        for number in ["1", "2", "3"] {
            let title = format!("Nhiệm vụ {number}");
            desk.ok(&[
                "task", "add", "--group", "I", "--number", number, "--title", &title, "--lead",
                "BO",
            ]);
            let result = format!("gốc {number}");
            desk.ok(&[
                "report",
                "set",
                &format!("I/{number}"),
                "--status",
                "in_progress",
                "--percent",
                "40",
                "--result",
                &result,
            ]);
        }
        desk
    }

    fn run(&self, args: &[&str]) -> (i32, Value) {
        let node = self.dir.path().join("node");
        let mut command = Command::cargo_bin("nqsync").expect("the program");
        let output = command
            .args(args)
            .args(["--json", "--lang", "vi"])
            .arg("--dir")
            .arg(node)
            .output()
            .expect("it runs");
        let code = output.status.code().expect("an exit code");
        let text = if output.stdout.is_empty() {
            &output.stderr
        } else {
            &output.stdout
        };
        (code, serde_json::from_slice(text).unwrap_or_default())
    }

    fn ok(&self, args: &[&str]) -> Value {
        let (code, data) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {data:#}");
        data
    }

    fn export(&self, name: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        self.ok(&["export", file.to_str().expect("a path"), "--as", "reports"]);
        file
    }

    fn import(&self, file: &Path) -> (i32, Value) {
        self.run(&["import", file.to_str().expect("a path"), "--as", "reports"])
    }

    fn result(&self, number: &str) -> Value {
        self.ok(&["report", "show", &format!("I/{number}")])["result"].clone()
    }
}

/// Replaces a text in a workbook's table of strings, as a spreadsheet program would.
fn edit(from: &Path, to: &Path, before: &str, after: &str) {
    let mut archive =
        zip::ZipArchive::new(std::fs::File::open(from).expect("a file")).expect("a workbook");
    let mut writer = zip::ZipWriter::new(std::fs::File::create(to).expect("a file"));
    let mut edited = 0;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).expect("an entry");
        let name = entry.name().expect("a name").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("readable");
        if name.ends_with("sharedStrings.xml") {
            let text = String::from_utf8(bytes).expect("UTF-8");
            edited = text.matches(&format!(">{before}<")).count();
            bytes = text
                .replace(&format!(">{before}<"), &format!(">{after}<"))
                .into_bytes();
        }
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name, options).expect("an entry");
        writer.write_all(&bytes).expect("written");
    }
    writer.finish().expect("a workbook");
    assert_eq!(edited, 1, "{before} stands once");
}

#[test]
fn exactly_the_edited_cells_change_whatever_happened_to_the_records_meanwhile() {
    let desk = Desk::new();
    let (sent, back) = (desk.export("gui.xlsx"), desk.dir.path().join("ve.xlsx"));
    edit(&sent, &back, "gốc 1", "điền trong tệp");
    desk.ok(&["report", "set", "I/2", "--result", "sửa tại phần mềm"]);
    let (code, trial) = desk.run(&[
        "import",
        back.to_str().expect("a path"),
        "--as",
        "reports",
        "--dry-run",
    ]);
    assert_eq!(
        (
            code,
            &trial["edited"],
            &trial["items"].as_array().map(Vec::len)
        ),
        (0, &1.into(), &Some(1)),
        "{trial:#}"
    );
    assert_eq!(desk.result("1"), "gốc 1", "a trial writes nothing");
    let (code, data) = desk.import(&back);
    assert_eq!(
        (code, &data["edited"], &data["unchanged"]),
        (0, &1.into(), &2.into()),
        "{data:#}"
    );
    assert_eq!(desk.result("1"), "điền trong tệp");
    assert_eq!(
        desk.result("2"),
        "sửa tại phần mềm",
        "a cell nobody edited is never written"
    );
    let (_, again) = desk.import(&back);
    assert_eq!(
        (&again["same"], &again["edited"]),
        (&1.into(), &0.into()),
        "the same file again changes nothing"
    );
}

#[test]
fn a_cell_edited_on_both_sides_is_a_conflict_with_both_values() {
    let desk = Desk::new();
    let (sent, back) = (desk.export("gui.xlsx"), desk.dir.path().join("ve.xlsx"));
    edit(&sent, &back, "gốc 1", "điền trong tệp");
    desk.ok(&["report", "set", "I/1", "--result", "sửa tại phần mềm"]);
    let (code, data) = desk.import(&back);
    assert_eq!((code, &data["conflict"]), (0, &1.into()), "{data:#}");
    let conflicts = desk.ok(&["conflict", "list"]);
    let id = conflicts["items"][0]["id"]
        .as_str()
        .expect("a conflict")
        .to_owned();
    let shown = desk.ok(&["conflict", "show", &id]).to_string();
    assert!(
        shown.contains("điền trong tệp") && shown.contains("sửa tại phần mềm"),
        "{shown}"
    );
}

#[test]
fn two_people_edit_one_export_and_both_come_in() {
    let desk = Desk::new();
    let sent = desk.export("gui.xlsx");
    let (one, two) = (
        desk.dir.path().join("mot.xlsx"),
        desk.dir.path().join("hai.xlsx"),
    );
    edit(&sent, &one, "gốc 1", "của người một");
    edit(&sent, &two, "gốc 2", "của người hai");
    desk.import(&one);
    desk.import(&two);
    assert_eq!(
        (desk.result("1"), desk.result("2")),
        ("của người một".into(), "của người hai".into())
    );
    let same_cell = desk.dir.path().join("ba.xlsx");
    edit(&sent, &same_cell, "gốc 1", "của người ba");
    let (_, data) = desk.import(&same_cell);
    assert_eq!(data["conflict"], 1, "{data:#}");
}

#[test]
fn a_refused_cell_is_told_and_the_rest_is_taken() {
    let desk = Desk::new();
    let file = desk.dir.path().join("gui.csv");
    desk.ok(&["export", file.to_str().expect("a path"), "--as", "reports"]);
    let text = std::fs::read_to_string(&file).expect("a file");
    let text =
        text.replacen(",40,gốc 1,", ",140,gốc 1,", 1)
            .replacen(",40,gốc 2,", ",55,gốc 2,", 1);
    std::fs::write(&file, text).expect("a file");
    let (code, data) = desk.import(&file);
    assert_eq!(
        (code, &data["refused"], &data["edited"]),
        (3, &1.into(), &1.into()),
        "{data:#}"
    );
    let refused = data["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|i| i["outcome"] == "refused");
    assert!(refused.expect("one")["reason"].to_string().contains("140"));
    assert_eq!(desk.ok(&["report", "show", "I/2"])["percent"], "55");
    assert_eq!(desk.ok(&["report", "show", "I/1"])["percent"], "40");
}

#[test]
fn a_status_in_words_goes_out_and_comes_back() {
    let desk = Desk::new();
    let file = desk.dir.path().join("gui.csv");
    desk.ok(&["export", file.to_str().expect("a path"), "--as", "reports"]);
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(text.contains("đang thực hiện"), "{text}");
    std::fs::write(
        &file,
        text.replacen("đang thực hiện", "Tiếp tục thực hiện", 1),
    )
    .expect("a file");
    let (code, data) = desk.import(&file);
    assert_eq!((code, &data["edited"]), (0, &1.into()), "{data:#}");
    let (code, again) = desk.import(&file);
    assert_eq!(
        (code, &again["same"], &again["conflict"]),
        (0, &1.into(), &0.into()),
        "other words for what stands there: {again:#}"
    );
}

#[test]
fn an_export_replaces_no_file_unasked() {
    let desk = Desk::new();
    let file = desk.export("gui.xlsx");
    let (code, _) = desk.run(&["export", file.to_str().expect("a path"), "--as", "reports"]);
    assert_eq!(code, 2);
}
