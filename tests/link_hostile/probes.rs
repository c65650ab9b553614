//! What the answers tell of what belongs to others: nothing, not even whether it is there.

use std::time::{Duration, Instant};

use nqsync_core::model::Facts;
use nqsync_core::protocol::{Ack, BATCH_HEADER, BEFORE_HEADER};
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use super::support::files::noise;
use super::support::raw::{Raw, line, pack};
use super::support::values;
use super::support::world::{World, progress, report_facts};

/// What one probe was answered: the status, the bytes of the answer, and how long it took.
async fn probe(request: reqwest::RequestBuilder) -> (StatusCode, Vec<u8>, Duration) {
    let begin = Instant::now();
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.bytes().await.expect("a body");
    (status, body.to_vec(), begin.elapsed())
}

/// The middle of the times, and how far the second is from the first, in percent.
fn apart(mut times: [Vec<Duration>; 2]) -> String {
    let [there, absent] = times.each_mut().map(|times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    let percent = (absent / there - 1.0).abs() * 100.0;
    format!(
        "medians {:.3} ms and {:.3} ms, {percent:.1} % apart",
        there * 1e3,
        absent * 1e3
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_a_thousand_probes_do_not_tell_whether_a_foreign_record_or_file_is_there() {
    const PAIRS: usize = 250;
    let world = World::new().await;
    let (province, commune, other) = (&world.province, &world.commune, &world.other);
    let task = world.task().await;
    commune.sync().await;
    world.report(task, 40).await;
    let evidence = Facts::Evidence {
        unit: commune.unit(),
        issuer: province.unit(),
        task,
        period: "2026-03".into(),
        reviewer: province.unit(),
    };
    let (_, file) = commune
        .add_file(commune.unit(), evidence, &noise(1, 10_000))
        .await;
    commune.sync().await;
    assert!(province.file(file).await.is_some());

    let mut raw = Raw::of(other).await;
    raw.open().await;
    // Asked for as often as the other: what is refused again finds its own row.
    let absent = Uuid::from_u128(7);
    // The very first answer is shorter: no batch was before it.
    raw.push(&[]).await;
    // A report of its own on a task of others is set aside in the same words as one on a task that nobody has.
    let mut said = Vec::new();
    for (number, issuer, at) in [
        (1_000, province.unit(), task),
        (1_001, world.ministry.unit(), task),
        (1_002, province.unit(), absent),
    ] {
        let facts = report_facts(other.unit(), issuer, at);
        let text = line(
            number,
            facts,
            other.unit(),
            values([("progress", progress(1))]),
        );
        let aside = raw.push(&[text]).await.set_aside.remove(0);
        said.push((aside.code, aside.reason));
    }
    assert_eq!(said[0].0, "not_assigned");
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    let mut records = [const { Vec::new() }; 2];
    let mut files = [const { Vec::new() }; 2];
    for pair in 0..PAIRS {
        let number = pair as u128 + 1;
        let mut sizes = Vec::new();
        // In turns, so that neither is always the first.
        for at in [pair % 2, 1 - pair % 2] {
            let task = [task, absent][at];
            let facts = report_facts(commune.unit(), province.unit(), task);
            let text = line(
                number * 2 + at as u128,
                facts,
                commune.unit(),
                values([("progress", progress(99))]),
            );
            let request = raw
                .request(Method::POST, "push")
                .header(BATCH_HEADER, raw.up.batch + 1)
                .header(BEFORE_HEADER, &raw.up.hash)
                .body(pack(&[text]));
            let (status, body, took) = probe(request).await;
            assert_eq!(status, StatusCode::OK);
            let ack: Ack = serde_json::from_slice(&body).expect("an acknowledgement");
            assert_eq!(ack.set_aside[0].code, "out_of_scope");
            // The number of the child's own batch has more digits from time to time.
            sizes.push(body.len() - ack.mark.batch.to_string().len());
            raw.up = ack.mark;
            records[at].push(took);
        }
        assert_eq!(sizes[0], sizes[1], "records");
        let mut answers = Vec::new();
        for at in [pair % 2, 1 - pair % 2] {
            let mut unheard = file;
            unheard[..8].copy_from_slice(&pair.to_be_bytes());
            let name = [file, unheard][at];
            let endpoint = format!("blob/{}", nqsync::store::blobs::hex(&name));
            let (status, body, took) = probe(raw.request(Method::GET, &endpoint)).await;
            answers.push((status, body));
            files[at].push(took);
        }
        assert_eq!(answers[0], answers[1], "files");
    }
    println!(
        "{} probes; records: {}; files: {}",
        PAIRS * 4,
        apart(records),
        apart(files)
    );
}
