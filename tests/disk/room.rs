//! The last room on a disk is for records.

use super::support::machine::until;
use super::support::pair::Pair;
use super::{add_file, evidence, has_problem};

#[test]
fn g12_files_of_a_child_stop_where_the_room_for_everybodys_records_begins() {
    let mut pair = Pair::new();
    pair.stop_all();
    let service = pair.ministry.serve_with(&["store.min_free_bytes=1024 GiB"]);
    pair.above = Some(service);
    pair.serve_below(&[]);
    add_file(&pair, "paper", &[7; 70_000]).expect(0);
    until("the alarm", || {
        has_problem(&pair.commune, "files_wait").then_some(())
    });
    pair.passes("vẫn báo cáo được");
    assert_eq!(evidence(&pair.ministry), "pending");
    assert!(has_problem(&pair.ministry, "disk_nearly_full"));
    pair.stop_all();
    pair.above = Some(pair.ministry.serve());
    pair.serve_below(&[]);
    until("the file", || {
        (evidence(&pair.ministry) == "present").then_some(())
    });
    pair.stop_all();
}
