//! Systems that are reached through folders: what arrives is taken once and moved away, what goes out is whole.

mod support;

use std::fs;

use nqsync::adapter::simulate::Police;
use nqsync::api::{Command, TaskFields};
use nqsync::sheet::{Limits, Table, read_workbook};
use serde_json::json;
use support::folders::Office;
use support::stopping::{run_until, run_until_wait};

const IN: &str = "drop/nq57/in";
const OUT: &str = "drop/nq57/out";

fn police(office: &Office) -> Police {
    Police::new(&office.folder(OUT), &office.folder(IN), 2026)
}

#[tokio::test]
async fn missions_go_out_once_and_what_is_entered_there_comes_back() {
    let office = Office::new("nq57", 3, &[]).await;
    let mut police = police(&office);
    let ran = office.ran("done").await;
    assert_eq!(ran["missions"]["created"], 3, "{ran:#}");
    assert_eq!(police.import().expect("its import form"), 3);
    assert_eq!(police.missions()["Nhiệm vụ 2"].lead, "24001");

    // Nothing new: no workbook, no listing.
    let again = office.ran("done").await;
    assert_eq!(again["missions"]["created"], 0, "{again:#}");
    assert!(office.files(OUT, ".xlsx").is_empty());

    police.enter("Nhiệm vụ 2", "Đang thực hiện trễ hạn", 2, "Khảo sát");
    police.enter("Nhiệm vụ 2", "Đang thực hiện trễ hạn", 3, "Lắp 12 camera");
    police.export().expect("an export");
    let ran = office.ran("done").await;
    assert_eq!(ran["progress"]["pulled"], 3, "{ran:#}");
    let report = office.shown(2).await;
    assert_eq!(report["status"], "in_progress", "{report:#}");
    assert_eq!(report["result"], "Lắp 12 camera");
    assert_eq!(
        office.files(&format!("{IN}/processed"), ".xlsx"),
        ["bao-cao-1.xlsx"]
    );
    assert!(office.files(IN, ".xlsx").is_empty());
    assert!(
        police
            .missions()
            .values()
            .all(|mission| mission.imports == 1)
    );
}

#[tokio::test]
async fn a_file_that_a_crash_left_where_it_was_changes_nothing_when_it_is_read_again() {
    let office = Office::new("nq57", 2, &[]).await;
    let mut police = police(&office);
    office.ran("done").await;
    police.import().expect("its import form");
    police.enter("Nhiệm vụ 1", "Hoàn thành đúng hạn", 3, "Xong");
    police.enter("Nhiệm vụ 2", "Đang thực hiện", 3, "Một nửa");
    let export = police.export().expect("an export");
    let copy = fs::read(&export).expect("a file");
    office.ran("partly").await; // Completed without evidence stays a draft, and is told.
    let before = (office.shown(1).await, office.shown(2).await);
    fs::write(&export, copy).expect("the crash came before it was moved");
    let ran = office.ran("partly").await; // It is told for as long as it stays one.
    assert_eq!(ran["progress"]["pulled"], 0, "{ran:#}");
    assert_eq!((office.shown(1).await, office.shown(2).await), before);
}

#[tokio::test]
async fn a_run_cut_at_any_step_gives_no_mission_twice_and_loses_no_file() {
    for after in [false, true] {
        let mut step = 1;
        loop {
            let office = Office::new("nq57", 3, &[]).await;
            let mut police = police(&office);
            police.enter("Nhiệm vụ 2", "Đang thực hiện", 3, "Lắp 12 camera");
            police.export().expect("an export");
            let node = &office.place.node;
            let reached = run_until(node, "nq57", step, after).await;
            let said = format!("step {step}, after {after}");
            office.ran("done").await;
            assert_eq!(police.import().expect("its import form"), 3, "{said}");
            let twice = police
                .missions()
                .values()
                .filter(|mission| mission.imports != 1);
            assert_eq!(twice.count(), 0, "{said}");
            assert_eq!(office.shown(2).await["result"], "Lắp 12 camera", "{said}");
            assert!(office.files(IN, ".xlsx").is_empty(), "{said}");
            let kept = office.files(&format!("{IN}/processed"), ".xlsx");
            assert_eq!(kept, ["bao-cao-1.xlsx"], "{said}");
            let rest = office.ran("done").await;
            assert_eq!(rest["missions"]["created"], 0, "{said}");
            assert!(office.files(OUT, ".xlsx").is_empty(), "{said}");
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(
            step > 4,
            "two listings, a workbook and a file put away, was {step}"
        );
    }
}

#[tokio::test]
async fn files_end_where_their_fate_is_seen_with_a_reason_for_each_row() {
    let office = Office::new("nq57", 2, &[]).await;
    let folder = office.folder(IN);
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file");
    put(
        "bao-cao-a.csv",
        "Tên nhiệm vụ,Trạng thái\nNhiệm vụ 1,Đang bay\nNhiệm vụ 2,Đang thực hiện\n".as_bytes(),
    );
    put("bao-cao-b.csv", b"a,b\n1,2\n");
    put("bao-cao-c.xlsx", b"PK\x03\x04 this is no workbook");
    put(
        "bao-cao-d.csv",
        "Nhiệm vụ,Trạng thái\nNhiệm vụ 2,Chờ duyệt\nNhiệm vụ 2,Đang thực hiện\n".as_bytes(),
    );
    put("bao-cao-e.csv.part", b"half");
    put("thu.docx", b"a letter");
    let ran = office.ran("partly").await;
    assert!(
        ran["progress"]["problems"]
            .as_array()
            .is_some_and(|all| all.len() == 4),
        "{ran:#}"
    );
    let said = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let doubt = said("in-doubt/bao-cao-a.csv.txt");
    assert!(
        doubt.contains("Đang bay") && doubt.contains("Nhiệm vụ 1"),
        "{doubt}"
    );
    assert!(
        said("in-doubt/bao-cao-d.csv.txt").contains('3'),
        "{}",
        said("in-doubt/bao-cao-d.csv.txt")
    );
    assert!(said("rejected/bao-cao-b.csv.txt").contains("Tên nhiệm vụ"));
    assert!(!said("rejected/bao-cao-c.xlsx.txt").is_empty());
    // The good row of a file with a bad one was taken; what is not ours and not finished was not touched.
    assert_eq!(office.shown(2).await["status"], "awaiting_correction");
    assert_eq!(office.files(IN, ".part"), ["bao-cao-e.csv.part"]);
    assert_eq!(office.files(IN, ".docx"), ["thu.docx"]);
}

#[tokio::test]
async fn a_file_that_does_not_name_a_mission_deletes_nothing() {
    let office = Office::new("nq57", 3, &[]).await;
    let mut police = police(&office);
    office.ran("done").await;
    police.import().expect("its import form");
    police.enter("Nhiệm vụ 1", "Đang thực hiện", 3, "Một");
    police.export().expect("an export");
    office.ran("done").await;
    let short = "Tên nhiệm vụ,Trạng thái\nNhiệm vụ 3,Đang thực hiện\n";
    fs::write(office.folder(IN).join("bao-cao-x.csv"), short).expect("a file");
    let ran = office.ran("done").await;
    assert_eq!(ran["progress"]["missing"], 0, "{ran:#}");
    assert_eq!(office.shown(1).await["result"], "Một");
}

fn table(path: &std::path::Path) -> Table {
    let bytes = fs::read(path).expect("a workbook");
    read_workbook("a.xlsx", &bytes, None, &Limits::default()).expect("a workbook")
}

#[tokio::test]
async fn a_template_of_theirs_is_filled_and_keeps_what_stands_around_the_rows() {
    let set = [("stream.missions.tabular.template", "mau.xlsx")];
    let office = Office::new("nq57", 4, &set).await;
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name("Nhiệm vụ").expect("a name");
    sheet
        .write_string(0, 0, "PHỤ LỤC GIAO NHIỆM VỤ")
        .expect("written");
    for (at, heading) in (0..).zip(nqsync::adapter::simulate::IMPORT_FORM) {
        sheet.write_string(3, at, heading).expect("written");
    }
    sheet.write_string(5, 3, "NGƯỜI LẬP").expect("written");
    let template = office.place.node.settings.adapters_dir.join("mau.xlsx");
    book.save(template).expect("a template");
    office.ran("done").await;
    let files = office.files(OUT, ".xlsx");
    let table = table(&office.folder(OUT).join(&files[0]));
    let row = |number: u32| table.rows.iter().find(|row| row.number == number);
    assert_eq!(
        row(1).expect("the title").cells[0].1.text,
        "PHỤ LỤC GIAO NHIỆM VỤ"
    );
    assert_eq!(row(5).expect("the first").cells[0].1.text, "Nhiệm vụ 1");
    assert_eq!(row(8).expect("the last").cells[0].1.text, "Nhiệm vụ 4");
    assert_eq!(row(9).expect("moved down").cells[0].1.text, "NGƯỜI LẬP");
}

// --- Workbooks of our own ---------------------------------------------------------------------------------------

const DROP_IN: &str = "drop/excel/in";
const DROP_OUT: &str = "drop/excel/out";

/// The workbook that went out, with texts replaced, dropped as somebody would.
fn send_back(office: &Office, name: &str, edits: &[(&str, &str)]) {
    let files = office.files(DROP_OUT, ".csv");
    let mut text = fs::read_to_string(office.folder(DROP_OUT).join(&files[0])).expect("a workbook");
    for (before, after) in edits {
        assert_eq!(text.matches(before).count(), 1, "{before} in {text}");
        text = text.replace(before, after);
    }
    fs::write(office.folder(DROP_IN).join(name), text).expect("dropped");
}

async fn drop_office() -> Office {
    let set = [("stream.reports.workbook.file", "bao-cao-{unit}.csv")];
    let office = Office::new("excel-drop", 3, &set).await;
    for number in 1..=3 {
        office.report(number, "40", &format!("gốc {number}")).await;
    }
    let ran = office.ran("done").await;
    assert_eq!(ran["reports"]["pushed"], 1, "{ran:#}");
    office
}

#[tokio::test]
async fn exactly_the_cells_that_were_filled_are_taken_and_the_workbook_goes_out_anew() {
    let office = drop_office().await;
    let same = office.ran("done").await;
    assert_eq!(same["reports"]["pushed"], 0, "nothing changed: {same:#}");
    send_back(&office, "ve.csv", &[("gốc 2", "đã lắp 12 cái")]);
    // Meanwhile somebody reports another task here.
    office.report(3, "55", "mới 3").await;
    let ran = office.ran("done").await;
    assert_eq!(ran["reports"]["pulled"], 1, "{ran:#}");
    assert_eq!(office.shown(2).await["result"], "đã lắp 12 cái");
    assert!(
        office.shown(2).await["submission"].is_object(),
        "filled in is reported"
    );
    assert_eq!(office.shown(3).await["result"], "mới 3");
    assert_eq!(
        office.files(&format!("{DROP_IN}/processed"), ".csv"),
        ["ve.csv"]
    );
    assert_eq!(ran["reports"]["pushed"], 1, "what changed goes out");
}

#[tokio::test]
async fn a_workbook_edited_by_two_people_from_one_export_keeps_both_values() {
    let office = drop_office().await;
    send_back(&office, "hoa.csv", &[("gốc 1", "Hoa viết")]);
    office.ran("done").await;
    // Minh edited his own copy of the first export; it went out anew meanwhile.
    let processed = office
        .folder(&format!("{DROP_IN}/processed"))
        .join("hoa.csv");
    let text = fs::read_to_string(processed).expect("kept");
    let minh = text.replace("Hoa viết", "Minh viết");
    fs::write(office.folder(DROP_IN).join("minh.csv"), minh).expect("dropped");
    // It was taken as a draft: what holds two values is not submitted, and that is told.
    let ran = office.ran("partly").await;
    assert_eq!(ran["reports"]["conflicts"], 1, "{ran:#}");
    let said = office
        .folder(&format!("{DROP_IN}/in-doubt"))
        .join("minh.csv.txt");
    let said = fs::read_to_string(said).expect("a report");
    assert!(
        said.contains("Hoa viết") && said.contains("Minh viết"),
        "{said}"
    );
    let report = office.shown(1).await;
    assert!(
        report.to_string().contains("Hoa viết") && report.to_string().contains("Minh viết"),
        "{report:#}"
    );
}

/// The workbook that came back and the one that goes out, with the run cut wherever it waits.
#[tokio::test]
async fn excel_drop_cut_at_any_wait_takes_each_cell_once_and_loses_no_file() {
    let office = drop_office().await;
    let (mut wait, mut filled) = (1, "gốc 1".to_owned());
    loop {
        let (there, here) = (format!("điền lần {wait}."), format!("sửa lần {wait}."));
        let name = format!("ve-{wait}.csv");
        send_back(&office, &name, &[(&filled, &there)]);
        office.report(2, "45", &here).await;
        let reached = run_until_wait(&office.place.node, "excel-drop", wait).await;
        office.ran("done").await;
        assert_eq!(office.shown(1).await["result"], there, "wait {wait}");
        assert_eq!(office.shown(2).await["result"], here, "wait {wait}");
        assert!(office.files(DROP_IN, ".csv").is_empty(), "wait {wait}");
        let kept = office.files(&format!("{DROP_IN}/processed"), ".csv");
        assert_eq!(kept.len(), wait, "{kept:?}");
        let out = office.files(DROP_OUT, ".csv");
        let out = fs::read_to_string(office.folder(DROP_OUT).join(&out[0])).expect("a workbook");
        assert!(
            out.contains(&there) && out.contains(&here),
            "wait {wait}: {out}"
        );
        let rest = office.ran("done").await;
        assert_eq!(rest["reports"]["pushed"], 0, "wait {wait}: {rest:#}");
        if !reached {
            break;
        }
        (wait, filled) = (wait + 1, there);
    }
    assert!(
        wait > 5,
        "a file read, its rows, a workbook written, was {wait}"
    );
}

/// A table for another system that only takes CSV: no cell of it is computed by whoever opens it, and it reads back as it was.
#[tokio::test]
async fn g11_a_table_for_another_system_holds_no_formula_and_reads_back_as_it_was() {
    let set = [("stream.missions.tabular.out", "nhiem-vu.csv")];
    let office = Office::new("nq57", 0, &set).await;
    let titles = ["=HYPERLINK(\"http://x\")", "@SUM(A1)", "-5", "'=1"];
    for (number, title) in (1..).zip(titles) {
        let fields = TaskFields {
            group: Some("I".into()),
            number: Some(number.to_string()),
            title: Some(title.into()),
            lead: Some(vec!["24001".into()]),
            ..TaskFields::default()
        };
        office.ask(Command::TaskAdd { fields }).await;
    }
    office.ran("done").await;
    let files = office.files(OUT, ".csv");
    let bytes = fs::read(office.folder(OUT).join(&files[0])).expect("a table");
    let table = read_workbook("a.csv", &bytes, None, &Limits::default()).expect("a table");
    let cells = table.rows[1..]
        .iter()
        .map(|row| row.cells[0].1.text.clone());
    let cells: Vec<String> = cells.collect();
    let mut sorted = cells.clone();
    sorted.sort();
    let inert = ["''=1", "'=HYPERLINK(\"http://x\")", "'@SUM(A1)", "-5"];
    assert_eq!(sorted, inert);
    // The system gives the titles back as it was given them.
    let mut back = csv::Writer::from_writer(Vec::new());
    let rows = cells.iter().map(|title| [title.as_str(), "Đang thực hiện"]);
    for row in [["Tên nhiệm vụ", "Trạng thái"]].into_iter().chain(rows) {
        back.write_record(row).expect("in memory");
    }
    let back = back.into_inner().expect("in memory");
    fs::write(office.folder(IN).join("bao-cao-x.csv"), back).expect("dropped");
    let ran = office.ran("done").await;
    assert_eq!(ran["progress"]["pulled"], 4, "{ran:#}");
}

#[tokio::test]
async fn a_forged_mark_speaks_for_no_unit_that_the_adapter_does_not_act_for() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let office = drop_office().await;
    let files = office.files(DROP_OUT, ".csv");
    let text = fs::read_to_string(office.folder(DROP_OUT).join(&files[0])).expect("a workbook");
    let forge = |line: &str| {
        let (cells, mark) = line.rsplit_once(',').expect("cells");
        let bytes = URL_SAFE_NO_PAD.decode(mark).expect("a mark");
        let mut base: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        base["about"]["report"]["unit"] = json!("99999");
        let cells = cells.replace("gốc 1", "giả mạo");
        format!("{cells},{}", URL_SAFE_NO_PAD.encode(base.to_string()))
    };
    let lines = text.lines().map(|line| match line.contains("gốc 1") {
        true => forge(line),
        false => line.to_owned(),
    });
    let forged = lines.collect::<Vec<_>>().join("\n");
    fs::write(office.folder(DROP_IN).join("la.csv"), forged).expect("dropped");
    let ran = office.ran("partly").await;
    assert_eq!(ran["reports"]["pulled"], 0, "{ran:#}");
    let said = office
        .folder(&format!("{DROP_IN}/in-doubt"))
        .join("la.csv.txt");
    assert!(
        fs::read_to_string(said)
            .expect("a report")
            .contains("99999")
    );
}
