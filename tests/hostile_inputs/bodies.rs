//! Bodies that are too large, unpack into too much, or cannot mean anything.

use std::time::{Duration, Instant};

use nqsync_core::protocol::{BATCH_HEADER, BEFORE_HEADER, MAX_ENROL_BODY};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::support::raw::line;
use super::support::world::report_facts;
use super::support::{self, values};
use super::{Site, serve};

/// A body of zeros, announced or not, that counts what was asked of it.
fn endless(bytes: u64) -> reqwest::Body {
    let piece = vec![0_u8; 64 << 10];
    let stream =
        tokio_util::io::ReaderStream::with_capacity(tokio::io::repeat(0).take(bytes), piece.len());
    reqwest::Body::wrap_stream(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_g5_bodies_without_end_or_sense_cost_little_time_and_memory() {
    let mut site = Site::new(&[]).await;
    let before = site.rest();
    let in_time = |what: &str, begin: Instant| {
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(2), "{what} took {took:?}");
    };
    // Ten gigabytes, in every place that takes a body.
    for endpoint in ["open", "pull", "agree", "push", "enrol"] {
        let begin = Instant::now();
        let request = site.hostile.request(Method::POST, endpoint);
        let request = request.header(BATCH_HEADER, 1).header(BEFORE_HEADER, "");
        // The answer comes before the body is over; then the stream may be reset under the sender.
        let sent = request.body(endless(10 << 30)).send();
        if let Ok(answered) = site.meanwhile(sent).await {
            let expected = StatusCode::PAYLOAD_TOO_LARGE;
            assert_eq!(answered.status(), expected, "{endpoint}");
        }
        in_time(endpoint, begin);
    }
    // Small bodies that are not what JSON can mean, and one that unpacks a thousandfold.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let junk = [
        deep.clone(),
        format!("{{\"node\":{deep}}}"),
        r#"{"protocol":{"oldest":1,"oldest":1,"newest":1}}"#.to_owned(),
        r#"{"count":NaN}"#.to_owned(),
        r#"{"count":1e999}"#.to_owned(),
        "{\"sum\":\"\u{0}\"}".to_owned(),
        r#"{"sum":"\ud800"}"#.to_owned(),
    ];
    for (endpoint, body) in ["open", "pull", "agree", "enrol"]
        .iter()
        .flat_map(|endpoint| junk.iter().map(move |body| (*endpoint, body)))
    {
        let begin = Instant::now();
        let (status, refused) = site.hostile.post(endpoint, body.clone()).await;
        // An empty pull asks for everything: what it does not know it passes over, as long as it is JSON.
        let too_long = endpoint == "enrol" && body.len() > MAX_ENROL_BODY;
        let expected = match too_long {
            true => StatusCode::PAYLOAD_TOO_LARGE,
            false => StatusCode::BAD_REQUEST,
        };
        assert!(
            status == expected || endpoint == "pull",
            "{endpoint} {body:.60}: {status} {refused}"
        );
        in_time(endpoint, begin);
    }
    site.cost_little(before, "bodies without end or sense");
    let before = site.rest();
    let bomb = zstd::bulk::compress(&vec![b'['; 128 << 20], 3).expect("zstd");
    assert!(bomb.len() < 128 << 10, "a thousandfold");
    for _ in 0..4 {
        let begin = Instant::now();
        let number = site.hostile.up.batch + 1;
        let pushed = site.hostile.push_at(number, bomb.clone());
        let (status, refused) = site.meanwhile(pushed).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{refused}");
        in_time("a bomb", begin);
    }
    site.cost_little(before, "bombs");
    // As much as a batch may have, of values that take many times their bytes in a careless reader. Each is set aside.
    let of = |number, value: &str| {
        let nobody = support::world::nobody();
        let facts = report_facts(nobody, nobody, uuid::Uuid::nil());
        let text = line(number, facts, nobody, values([("progress", json!("x"))]));
        text.replace(r#""v":"x""#, &format!(r#""v":{value}"#))
    };
    let many = format!("[{}[]]", "[],".repeat(330_000));
    let before = site.rest();
    let ack = site.hostile.push(&vec![of(1, &many); 15]).await;
    assert_eq!(ack.set_aside.len() + ack.unreadable as usize, 15);
    site.cost_little(before, "a full batch");
    for batch in 0..5 {
        let before = site.rest();
        let lines = (0..15).map(|number| {
            let id = uuid::Uuid::from_u128(batch * 15 + number + 1);
            format!(r#"{{"k":"poem","id":"{id}","f":{{}},"e":{many}}}"#)
        });
        let ack = site.hostile.push(&lines.collect::<Vec<_>>()).await;
        assert_eq!(ack.set_aside.len(), 15, "{}", ack.unreadable);
        site.cost_little(before, "a batch to be set aside");
    }
    let before = site.rest();
    for verb in [&["status"][..], &["quarantine", "list"]] {
        site.machines[0].run(verb);
    }
    site.cost_little(before, "a look at what was set aside");
    let good = of(1, r#""x""#);
    let before = site.rest();
    // Records with values that no reader could show: each by itself, the rest of the batch is taken.
    let mut lines = vec![good.clone()];
    for value in [deep.as_str(), r#"{"a":1,"a":2}"#, r#""\udc00""#, "1e999"] {
        lines.push(good.replace(r#""v":"x""#, &format!(r#""v":{value}"#)));
    }
    let begin = Instant::now();
    let ack = site.hostile.push(&lines).await;
    in_time("odd values", begin);
    let codes: Vec<&str> = ack
        .set_aside
        .iter()
        .map(|item| item.code.as_str())
        .collect();
    assert_eq!(codes[1..], ["unreadable"; 4], "{:?}", ack.set_aside);
    assert_ne!(
        codes[0], "unreadable",
        "the plain one is judged by what it says"
    );

    site.cost_little(before, "odd values");
    serve(&site.good).await;
}
