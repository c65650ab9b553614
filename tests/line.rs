//! Bad lines: torn uploads, answers that are reset, thin lines with much delay.

mod support;

use std::time::{Duration, Instant};

use nqsync::link::LinkError;
use nqsync::store::blobs;
use nqsync_core::model::Facts;
use support::files::noise;
use support::relay::Relay;
use support::tap::{Down, Tap};
use support::world::World;
use uuid::Uuid;

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn evidence(world: &World, task: Uuid, period: &str) -> Facts {
    Facts::Evidence {
        unit: world.commune.unit(),
        issuer: world.province.unit(),
        task,
        period: period.to_owned(),
        reviewer: world.province.unit(),
    }
}

/// A commune that reaches its province over a tapped line.
async fn tapped() -> (World, Tap, Uuid) {
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let tap = Tap::new();
    let url = world.province.url().await;
    let address = url.strip_prefix("https://").expect("https").parse();
    tap.lead_to(Some(address.expect("an address")));
    world.commune.connect(&tap.url()).await;
    world.commune.sync().await;
    (world, tap, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_an_upload_torn_at_any_byte_goes_on_from_what_is_on_disk_and_is_checked_whole() {
    const SIZE: usize = 300_000;
    let (world, tap, task) = tapped().await;
    let link = world.province.link_to(&world.commune).await.link;
    let upstream = world.commune.upstream.clone().expect("a child");
    let unit = world.commune.unit();
    let mut number = 0;
    let mut offer = || {
        number += 1;
        let bytes = noise(number, SIZE);
        let facts = evidence(&world, task, &format!("{}-01", 2000 + number));
        (facts, bytes)
    };
    // At 1 KB, at half, and as near to the last byte as the frames beside the file allow.
    let places = [1_024, SIZE as u64 / 2].map(|at| (false, at)).into_iter();
    let ends = [1, 2, 4, 8, 16, 32, 64].map(|at| (true, at));
    let mut near_the_end = 0;
    for (from_end, at) in places.chain(ends) {
        if from_end && near_the_end > 0 {
            break;
        }
        // How many bytes an upload of this length takes on this connection, with everything around it: pieces grow.
        let mut whole = 0;
        for _ in 0..3 {
            let (facts, bytes) = offer();
            world.commune.add_file(unit, facts, &bytes).await;
            upstream.push().await.expect("pushed");
            let before = tap.passed().up;
            upstream.files().await.expect("a file");
            whole = tap.passed().up - before;
        }
        assert!(whole > SIZE as u64);
        let cut = if from_end { whole - at } else { at };
        let (facts, bytes) = offer();
        let (_, file) = world.commune.add_file(unit, facts, &bytes).await;
        upstream.push().await.expect("pushed");
        let before = tap.passed().up;
        tap.cut_at(Some(before + cut));
        match upstream.files().await {
            Err(LinkError::Unreachable { .. }) => near_the_end += u64::from(from_end),
            // It took a few bytes less than the one before.
            Ok(()) if from_end => {
                tap.cut_at(None);
                upstream.open().await.expect("a session");
                continue;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(tap.passed().up - before, cut, "torn at this very byte");
        assert_eq!(world.province.file(file).await, None, "half is not shown");
        tap.cut_at(None);
        upstream.open().await.expect("the line is back");
        let here = blobs::partial_len(world.province.dir.path(), &file, link);
        assert!(here <= cut, "{here} of {cut}");
        let before = tap.passed().up;
        upstream.files().await.expect("the rest");
        let rest = tap.passed().up - before;
        // Headers, frames and acknowledgements come on top.
        let most = SIZE as u64 - here + 8_192;
        assert!(rest <= most, "cut at {cut}: {rest} bytes for the rest");
        assert_eq!(world.province.file(file).await, Some(bytes));
        println!("torn at {cut} of {whole}: {here} were on disk, {rest} more");
    }
    assert_eq!(near_the_end, 1, "torn near its end as well");
    assert_eq!(world.commune.sync().await.agrees, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b6_an_answer_that_is_reset_after_the_work_was_done_costs_a_resend_and_no_more() {
    let (world, tap, task) = tapped().await;
    let province = world.province.node.store.clone();
    for (percent, reset) in [(10, true), (20, false), (30, true)] {
        let upstream = world.commune.upstream.clone().expect("a child");
        upstream.open().await.expect("a session");
        let report = world.report(task, percent).await;
        tap.down(Down::Hold);
        let mut commits = province.commits();
        let pushed = async {
            let mut done = std::pin::pin!(upstream.push());
            let arrived = async {
                let here = world.commune.digest(report).await;
                while world.province.digest(report).await != here {
                    commits.changed().await.expect("the province lives");
                }
                // The work is done; its answer never comes.
                tap.down(if reset { Down::Reset } else { Down::Lose });
            };
            tokio::select! {
                _ = &mut done => panic!("answered too early"),
                () = arrived => {}
            }
            done.await
        };
        let pushed = tokio::time::timeout(PATIENCE, pushed).await;
        let error = pushed.expect("in time").expect_err("no answer");
        assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
        assert!(error.is_transient());
        tap.down(Down::Pass);
        let after = world.province.digest(report).await;
        let again = world.commune.sync().await;
        assert_eq!((again.report.sent, again.agrees), (1, Some(true)));
        assert_eq!(world.province.digest(report).await, after, "twice is once");
        assert_eq!(world.province.link_to(&world.commune).await.forks, 0);
    }
    assert!(world.province.set_aside().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b4_on_a_thin_line_with_two_seconds_of_delay_a_report_does_not_wait_for_a_file() {
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    // 256 kbit/s, one second each way.
    let relay = Relay::slow(&world.province.url().await, 32_000, Duration::from_secs(1)).await;
    let unit = world.commune.unit();
    let facts = evidence(&world, task, "2026-03");
    let (_, file) = world
        .commune
        .add_file(unit, facts, &noise(1, 400_000))
        .await;
    world.commune.sync_records().await;
    world.commune.connect(&relay.url()).await;
    let upstream = world.commune.upstream.clone().expect("a child");
    upstream.open().await.expect("a session");
    let files = upstream.clone();
    let moving = tokio::spawn(async move { files.files().await });
    let mut progress = upstream.progress();
    let begun = progress.wait_for(|report| report.file.is_some_and(|(done, _)| done > 40_000));
    begun.await.expect("the session lives");
    let report = world.report(task, 40).await;
    let here = world.commune.digest(report).await;
    let began = Instant::now();
    let mut commits = world.province.node.store.commits();
    let arrives = async {
        while world.province.digest(report).await != here {
            commits.changed().await.expect("the province lives");
        }
        began.elapsed()
    };
    let (pushed, took) = tokio::join!(upstream.push(), arrives);
    pushed.expect("pushed");
    println!("a report took {took:?} beside a file");
    assert!(took < Duration::from_secs(4), "two exchanges: {took:?}");
    assert!(!moving.is_finished(), "the file is still on its way");
    assert_eq!(world.province.file(file).await, None);
    moving.abort();
}
