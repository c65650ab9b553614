//! The whole acceptance case of a bad line. It takes minutes, so `.ci/proof` asks for it by NQSYNC_PROOF=line.

mod support;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_over_a_line_cut_every_two_seconds_arrive_whole() {
    if std::env::var("NQSYNC_PROOF").as_deref() != Ok("line") {
        println!("not run: it takes minutes; set NQSYNC_PROOF=line, as .ci/proof does");
        return;
    }
    // 16 Mbit/s, cut every 2 s.
    let case = support::files::CutLine {
        bytes: 100_000_000,
        rate: 2_000_000,
        cut_after: 4_000_000,
    };
    case.prove().await;
}
