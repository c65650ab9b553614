//! A hostile file costs one import and not the program: this test is its own parsing process.
//!
//! It has no harness, because the parsing process must be a program that answers to the hidden argument.

use std::{env, fs, path::Path};

use nqsync::sheet::{Limits, SheetError, Table, WORKER_ARGUMENT, parse_isolated, worker_main};

fn main() {
    if env::args().nth(1).as_deref() == Some(WORKER_ARGUMENT) {
        std::process::exit(worker_main());
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    a_table_comes_back_from_the_worker(folder.path());
    a_worker_short_of_memory_is_an_error_that_says_so(folder.path());
    a_refusal_keeps_its_words(folder.path());
    a_file_above_the_limit_is_never_handed_over(folder.path());
}

fn parse(folder: &Path, name: &str, bytes: &[u8], limits: &Limits) -> Result<Table, SheetError> {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a written file");
    parse_isolated(
        &env::current_exe().expect("this test's path"),
        &path,
        None,
        limits,
    )
}

fn a_table_comes_back_from_the_worker(folder: &Path) {
    let table = parse(
        folder,
        "plan.csv",
        "STT,Nhiệm vụ\n1,Lắp đèn\n".as_bytes(),
        &Limits::default(),
    );
    assert_eq!(table.expect("a table").rows[1].cells[1].1.text, "Lắp đèn");
}

fn a_worker_short_of_memory_is_an_error_that_says_so(folder: &Path) {
    let limits = Limits {
        memory_bytes: 32 << 20,
        ..Limits::default()
    };
    let error = parse(
        folder,
        "plan.csv",
        "1,2,3,4,5,6,7,8,9\n".repeat(100_000).as_bytes(),
        &limits,
    )
    .expect_err("too little memory");
    assert!(
        matches!(error, SheetError::Worker { .. }) && error.to_string().contains("out of memory"),
        "{error}"
    );
}

fn a_refusal_keeps_its_words(folder: &Path) {
    let error = parse(folder, "plan.xlsx", b"PK\x03\x04", &Limits::default())
        .expect_err("a cut-off workbook");
    assert!(
        error
            .to_string()
            .contains("plan.xlsx is damaged or cut off"),
        "{error}"
    );
}

fn a_file_above_the_limit_is_never_handed_over(folder: &Path) {
    let limits = Limits {
        file_bytes: 4,
        ..Limits::default()
    };
    let error = parse(folder, "plan.csv", b"1,2,3", &limits).expect_err("a file above the limit");
    assert!(
        matches!(error, SheetError::TooLarge { allowed: 4, .. }),
        "{error}"
    );
}
