//! Files over a line that breaks: whole, resumed, and never in the way of the records.

mod support;

use nqsync::link::LinkError;
use nqsync::store::blobs;
use nqsync_core::model::Facts;
use support::files::noise;
use support::relay::{Line, Relay};
use support::world::World;
use uuid::Uuid;

fn evidence(world: &World, task: Uuid) -> Facts {
    Facts::Evidence {
        unit: world.commune.unit(),
        issuer: world.province.unit(),
        task,
        period: "2026-03".into(),
        reviewer: world.province.unit(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_over_a_line_that_is_cut_arrives_whole_resumed_and_reports_overtake_it() {
    // 6 MB at 24 Mbit/s, cut about every 0.3 s.
    let case = support::files::CutLine {
        bytes: 6 << 20,
        rate: 24_000_000 / 8,
        cut_after: 900_000,
    };
    case.prove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_goes_to_its_reviewer_and_no_further() {
    let world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let bytes = noise(3, 700_000);
    let (record, file) = world
        .commune
        .add_file(world.commune.unit(), evidence(&world, task), &bytes)
        .await;
    let moved = world.commune.sync().await;
    assert_eq!(moved.report.files_up, 1);
    assert_eq!(world.province.file(file).await, Some(bytes));
    world.settle().await;
    assert_eq!(world.ministry.file(file).await, None);
    assert!(!world.ministry.holds(record).await);
    assert_eq!(
        world.commune.files_owed().await + world.province.files_owed().await,
        0
    );
    assert_eq!(world.commune.sync().await.report.files_up, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directive_comes_down_with_its_file_even_when_the_last_answer_is_lost() {
    let world = World::new().await;
    let bytes = noise(4, 600_000);
    let issuer = world.province.unit();
    let (record, file) = world
        .province
        .add_file(issuer, Facts::Directive { issuer }, &bytes)
        .await;
    // The records first; then every byte but by hand, as if the answer to the last piece had been lost.
    let upstream = world.commune.upstream.as_ref().expect("a child");
    upstream.open().await.expect("open");
    while upstream.pull(0).await.expect("a pull") {}
    assert!(world.commune.holds(record).await);
    let raw = support::raw::Raw::of(&world.commune).await;
    let endpoint = format!("blob/{}", blobs::hex(&file));
    // As `sync.blob_chunk_bytes` of these nodes says.
    let piece_bytes = 256 << 10;
    for offset in (0..bytes.len()).step_by(piece_bytes) {
        let request = raw
            .request(reqwest::Method::GET, &endpoint)
            .header(nqsync_core::protocol::OFFSET_HEADER, offset);
        let piece = request
            .send()
            .await
            .expect("sent")
            .bytes()
            .await
            .expect("a piece");
        let end = bytes.len().min(offset + piece_bytes);
        assert_eq!(piece[..], bytes[offset..end]);
    }
    let moved = world.commune.sync().await;
    assert_eq!(moved.report.files_down, 1);
    assert_eq!(world.commune.file(file).await, Some(bytes));
    world.other.sync().await;
    assert!(world.other.file(file).await.is_some());
    assert_eq!(world.province.files_owed().await, 0);
    assert_eq!(world.commune.sync().await.report.files_down, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_stopped_between_the_last_byte_and_its_check_makes_up_for_it() {
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    for length in [0, 300_000] {
        let bytes = noise(5, length);
        let mut facts = evidence(&world, task);
        if let Facts::Evidence { period, .. } = &mut facts {
            *period = format!("2026-{length}");
        }
        let (_, file) = world
            .commune
            .add_file(world.commune.unit(), facts, &bytes)
            .await;
        let upstream = world.commune.upstream.as_ref().expect("a child");
        upstream.open().await.expect("open");
        upstream.push().await.expect("pushed");
        world.province.shut().await;
        let link = {
            world.province.start().await;
            world.province.link_to(&world.commune).await.link
        };
        let mut partial =
            blobs::open_partial(world.province.dir.path(), &file, link).expect("a file");
        std::io::Write::write_all(&mut partial, &bytes).expect("written");
        world.commune.find(&world.province).await;
        let moved = world.commune.sync().await;
        assert_eq!((moved.report.files_up, moved.report.bytes_up), (1, 0));
        assert_eq!(world.province.file(file).await, Some(bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_went_bad_on_the_childs_disk_stops_neither_records_nor_other_files() {
    let world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let (unit, bytes) = (world.commune.unit(), noise(6, 50_000));
    let (_, bad) = world
        .commune
        .add_file(unit, evidence(&world, task), &bytes)
        .await;
    let mut other = evidence(&world, task);
    if let Facts::Evidence { period, .. } = &mut other {
        *period = "2026-04".into();
    }
    let (_, good) = world.commune.add_file(unit, other, &noise(7, 60_000)).await;
    std::fs::write(
        blobs::path(world.commune.dir.path(), &bad),
        noise(8, 50_000),
    )
    .expect("written");
    let moved = world.commune.sync().await;
    assert_eq!(moved.report.files_up, 1);
    assert!(world.province.file(good).await.is_some());
    assert_eq!(
        world.province.file(bad).await,
        None,
        "what does not fit its name is not shown"
    );
    let report = world.report(task, 50).await;
    world.commune.sync().await;
    assert!(world.province.holds(report).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_at_once_is_a_transient_error_and_no_more() {
    let mut world = World::new().await;
    let url = world.province.url().await;
    let line = Line {
        rate: 10 << 20,
        cut_after: Some(200),
        seed: 1,
    };
    let relay = Relay::to(&url, line).await;
    world.commune.connect(&relay.url()).await;
    for _ in 0..3 {
        let error = world.commune.try_sync().await.expect_err("cut");
        assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
    }
    assert!(relay.cuts() >= 3);
    world.commune.connect(&url).await;
    assert_eq!(world.commune.sync().await.agrees, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_sends_a_file_by_itself_and_takes_up_a_cut_line_again() {
    let mut world = World::new().await;
    let task = world.task().await;
    world.settle().await;
    let line = Line {
        rate: 20 << 20,
        cut_after: Some(500_000),
        seed: 3,
    };
    let relay = Relay::to(&world.province.url().await, line).await;
    world.commune.serve_at(&relay.url()).await;
    let mut commits = world.province.node.store.commits();
    let arrives = async {
        let bytes = noise(9, 2_000_000);
        let unit = world.commune.unit();
        let (_, file) = world
            .commune
            .add_file(unit, evidence(&world, task), &bytes)
            .await;
        while world.province.file(file).await.is_none() {
            commits.changed().await.expect("the province lives");
        }
        assert!(world.province.file(file).await == Some(bytes));
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), arrives)
        .await
        .expect("within a minute");
    assert!(relay.cuts() >= 2, "{}", relay.cuts());
}
