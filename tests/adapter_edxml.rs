//! The document exchange: directives come once and are acknowledged once they are on disk; a report is never sent twice.

mod support;

use std::os::unix::fs::PermissionsExt;

use nqsync::adapter::simulate::{self, Exchange, sample_directive};
use nqsync::api::{Command, Lang};
use serde_json::Value;
use support::folders::Office;
use support::stopping::{run_until, run_until_wait};
use tokio_util::sync::{CancellationToken, DropGuard};

struct Bench {
    office: Office,
    exchange: Exchange,
    _stop: DropGuard,
}

async fn bench(tasks: usize) -> Bench {
    let exchange = Exchange::new("000.01.00.H19", "demo");
    let stop = CancellationToken::new();
    let address = simulate::serve(exchange.router(), 0, stop.clone())
        .await
        .expect("a port");
    let base = format!("http://{address}");
    let office = Office::new("eoffice", tasks, &[("http.base_url", &base)]).await;
    let secret = office
        .place
        .node
        .settings
        .adapters_dir
        .join("eoffice.token");
    std::fs::write(&secret, "demo").expect("a secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    Bench {
        office,
        exchange,
        _stop: stop.drop_guard(),
    }
}

impl Bench {
    async fn directives(&self) -> Vec<String> {
        let listed = self.office.ask(Command::DirectiveList).await;
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        let mut numbers: Vec<String> = items
            .iter()
            .map(|item| item["number"].as_str().unwrap_or_default().to_owned())
            .collect();
        numbers.sort();
        numbers
    }
}

#[tokio::test]
async fn a_directive_comes_once_and_its_sender_is_told_when_it_is_on_disk() {
    let bench = bench(0).await;
    let first = bench
        .exchange
        .send(&sample_directive("12", "2026/03/20", "Triển khai quý II"));
    bench.exchange.send("<a>no document</a>");
    let invitation = sample_directive("3", "2026/03/21", "Họp").replace("Kế hoạch", "Giấy mời");
    bench.exchange.send(&invitation);
    let ran = bench.office.ran("partly").await;
    assert_eq!(ran["directives"]["pulled"], 1, "{ran:#}");
    assert_eq!(bench.directives().await, ["12/KH-UBND"]);
    let statuses = bench.exchange.statuses();
    let of_first: Vec<_> = statuses.iter().filter(|(id, _)| *id == first).collect();
    assert_eq!(of_first.len(), 1, "{statuses:?}");
    assert!(
        of_first[0]
            .1
            .contains("<edXML:StatusCode>03</edXML:StatusCode>")
    );

    let reads = bench.exchange.reads();
    bench
        .exchange
        .send(&sample_directive("13", "2026/03/22", "Sơ kết"));
    bench.office.ran("partly").await; // What is no document goes on being told.
    assert_eq!(bench.directives().await, ["12/KH-UBND", "13/KH-UBND"]);
    assert_eq!(
        bench.exchange.reads() - reads,
        2,
        "what was taken is not fetched again"
    );
}

#[tokio::test]
async fn a_report_that_the_gateway_took_without_saying_so_is_not_sent_again() {
    let bench = bench(2).await;
    bench.office.report(1, "40", "đã lắp 3 cái").await;
    bench.exchange.break_after(true);
    let outcome = bench.office.run().await;
    assert!(outcome.error.is_some());
    bench.exchange.break_after(false);
    let ran = bench.office.ran("done").await;
    assert_eq!(ran["reports"]["pushed"], 1, "{ran:#}");
    let sent = bench.exchange.sent();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains("bao-cao-24001-2026-03.xlsx") && sent[0].contains("BC-UBND"),
        "{}",
        sent[0]
    );
    bench.office.ran("done").await;
    assert_eq!(bench.exchange.sent().len(), 1, "nothing changed");
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_told_and_changes_nothing() {
    let bench = bench(0).await;
    bench
        .exchange
        .send(&sample_directive("12", "2026/03/20", "Triển khai quý II"));
    bench.exchange.refuse(true);
    let outcome = bench.office.run().await;
    let error = outcome.error.as_ref().expect("an error");
    let said = nqsync::adapter::run::said(Lang::En, error);
    assert!(said.contains("maintenance"), "{said}");
    assert!(bench.directives().await.is_empty() && bench.exchange.statuses().is_empty());
    bench.exchange.refuse(false);
    bench.office.ran("done").await;
    assert_eq!(bench.directives().await.len(), 1);
    let listed: Value = bench.office.ask(Command::DirectiveList).await;
    assert_eq!(listed["items"][0]["date"], "2026-03-20", "{listed:#}");
}

#[tokio::test]
async fn a_run_cut_at_any_step_takes_each_directive_once() {
    for after in [false, true] {
        let mut step = 1;
        loop {
            let bench = bench(0).await;
            bench
                .exchange
                .send(&sample_directive("12", "2026/03/20", "Triển khai quý II"));
            bench
                .exchange
                .send(&sample_directive("13", "2026/03/21", "Sơ kết"));
            let node = &bench.office.place.node;
            let reached = run_until(node, "eoffice", step, after).await;
            let said = format!("step {step}, after {after}");
            bench.office.ran("done").await;
            assert_eq!(
                bench.directives().await,
                ["12/KH-UBND", "13/KH-UBND"],
                "{said}"
            );
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(step > 2, "a listing and its end, was {step}");
    }
}

#[tokio::test]
async fn eoffice_cut_at_any_wait_sends_each_report_once_and_takes_each_directive_once() {
    let bench = bench(1).await;
    let mut wait = 1;
    loop {
        bench.office.report(1, "45", &format!("lần {wait}")).await;
        let number = wait.to_string();
        let directive = sample_directive(&number, "2026/03/20", "Triển khai");
        bench.exchange.send(&directive);
        let node = &bench.office.place.node;
        let reached = run_until_wait(node, "eoffice", wait).await;
        bench.office.ran("done").await;
        assert_eq!(bench.exchange.sent().len(), wait, "wait {wait}");
        assert_eq!(bench.directives().await.len(), wait, "wait {wait}");
        bench.office.ran("done").await;
        assert_eq!(bench.exchange.sent().len(), wait, "wait {wait}: at rest");
        if !reached {
            break;
        }
        wait += 1;
    }
    assert!(wait > 5, "a listing, a document, a report, was {wait}");
}
