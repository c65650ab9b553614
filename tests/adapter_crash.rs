//! A run is cut between every two steps, before and after the outside carried a step out; the next run finds no record
//! twice and none lost.

mod support;

use std::sync::Arc;

use nqsync::adapter::cycle::{self, Cycle, Mode, Report};
use nqsync::adapter::engine::{Engine, EngineError, Page, Position, Span, Upload, Write, Written};
use nqsync::adapter::http::Http;
use nqsync::adapter::mapping::{MapLimits, Mapper};
use nqsync::adapter::profile::Stream;
use nqsync::adapter::{engines, run};
use nqsync::api::Lang;
use serde_json::{Value, json};
use support::tracker::Desk;
use tokio::sync::Notify;

/// An engine that stops for ever at a step: before it is sent, or after it was carried out and before it is answered.
struct Stopping {
    inner: Http,
    left: usize,
    after: bool,
    stopped: Arc<Notify>,
}

impl Stopping {
    async fn step(&mut self, done: bool) {
        if !done {
            self.left = self.left.wrapping_sub(1);
        }
        if self.left == 0 && done == self.after {
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl Engine for Stopping {
    async fn list(
        &mut self,
        s: &Stream,
        span: &Span,
        from: &Position,
    ) -> Result<Page, EngineError> {
        self.step(false).await;
        let page = self.inner.list(s, span, from).await;
        self.step(true).await;
        page
    }

    async fn fetch(&mut self, s: &Stream, id: &str) -> Result<Option<Value>, EngineError> {
        self.step(false).await;
        let found = self.inner.fetch(s, id).await;
        self.step(true).await;
        found
    }

    async fn lookup(&mut self, s: &Stream, key: &str) -> Result<Option<Vec<Value>>, EngineError> {
        self.inner.lookup(s, key).await
    }

    async fn write_one(&mut self, s: &Stream, write: &Write) -> Result<Written, EngineError> {
        self.step(false).await;
        let written = self.inner.write_one(s, write).await;
        self.step(true).await;
        written
    }

    async fn upload(
        &mut self,
        s: &Stream,
        id: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        self.inner.upload(s, id, file).await
    }
}

/// Runs until the step; whether it was reached.
async fn run_until(desk: &Desk, step: usize, after: bool) -> bool {
    let node = &desk.place.node;
    let loaded = run::load(node, "tracker").expect("a profile");
    let mut programs = cycle::programs(&loaded.profile);
    programs.extend(engines::programs(&loaded.profile));
    let limits = MapLimits::default();
    let mapper = Mapper::start(&node.settings.program, programs, limits)
        .await
        .expect("mappings");
    let stopped = Arc::new(Notify::new());
    let engine = Stopping {
        inner: Http::open(&loaded, mapper.clone())
            .await
            .expect("an engine"),
        left: step,
        after,
        stopped: stopped.clone(),
    };
    let mut cycle = Cycle {
        node,
        name: "tracker",
        profile: &loaded.profile,
        mapper,
        engine,
        mode: Mode::default(),
        lang: Lang::En,
    };
    let mut report = Report::default();
    tokio::select! {
        () = stopped.notified() => true,
        ran = cycle.run_stream(&loaded.profile.streams[0], &mut report) => {
            ran.expect("a whole run");
            false
        }
    }
}

/// Three changes here, one there, one on both sides, two new tasks.
async fn desk_with_work() -> Desk {
    let desk = Desk::new(5).await;
    desk.report(5, "in_progress", "5", "gốc").await;
    desk.run_well().await;
    for number in 1..=3 {
        desk.report(number, "in_progress", "50", &format!("ở đây {number}"))
            .await;
    }
    let id = |number: usize| desk.there(number)[0]["id"].as_u64().expect("an id");
    desk.tracker.edit(id(4), json!({ "note": "bên đó 4" }));
    desk.report(5, "in_progress", "5", "ở đây 5").await;
    desk.tracker.edit(id(5), json!({ "note": "bên đó 5" }));
    desk.task(6).await;
    desk.task(7).await;
    desk
}

async fn assert_all_is_there(desk: &Desk, step: usize, after: bool) {
    for number in 1..=7 {
        assert_eq!(
            desk.there(number).len(),
            1,
            "task {number}, step {step}, after {after}"
        );
    }
    for number in 1..=3 {
        let there = &desk.there(number)[0];
        assert_eq!(
            there["note"],
            format!("ở đây {number}"),
            "step {step}, after {after}"
        );
    }
    assert_eq!(
        desk.shown(4).await["result"],
        "bên đó 4",
        "step {step}, after {after}"
    );
    let conflict = desk.shown(5).await["conflicts"].clone();
    assert_eq!(conflict, json!(["result"]), "step {step}, after {after}");
    assert_eq!(desk.tracker.items().len(), 7);
}

#[tokio::test]
async fn a_run_cut_at_any_step_loses_nothing_and_doubles_nothing() {
    for after in [false, true] {
        let mut step = 1;
        loop {
            let desk = desk_with_work().await;
            let reached = run_until(&desk, step, after).await;
            desk.run().await;
            assert_all_is_there(&desk, step, after).await;
            let writes = desk.tracker.requests().1;
            desk.run().await;
            assert_eq!(
                desk.tracker.requests().1,
                writes,
                "rest, step {step}, after {after}"
            );
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(step > 7, "two pages and five writes at least, was {step}");
    }
}
