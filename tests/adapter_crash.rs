//! A run is cut between every two steps, before and after the outside carried a step out; the next run finds no record
//! twice and none lost. Every shipped profile that has a simulator goes through it.

mod support;

use std::sync::Arc;

use nqsync::adapter::cycle::{self, Cycle, Mode, Report};
use nqsync::adapter::engine::{Engine, EngineError, Page, Position, Span, Upload, Write, Written};
use nqsync::adapter::engines::{self, AnyEngine, Open};
use nqsync::adapter::mapping::{MapLimits, Mapper};
use nqsync::adapter::profile::Stream;
use nqsync::adapter::run;
use nqsync::api::Lang;
use serde_json::Value;
use support::outside::{Back, Bench, CASES, Case, case};
use tokio::sync::Notify;

/// An engine that stops for ever at a step: before it is sent, or after it was carried out and before it is answered.
struct Stopping {
    inner: AnyEngine,
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
        self.step(false).await;
        let found = self.inner.lookup(s, key).await;
        self.step(true).await;
        found
    }

    async fn write_one(&mut self, s: &Stream, write: &Write) -> Result<Written, EngineError> {
        self.step(false).await;
        let written = self.inner.write_one(s, write).await;
        self.step(true).await;
        written
    }

    async fn write(&mut self, s: &Stream, writes: &[Write]) -> Vec<Result<Written, EngineError>> {
        if let AnyEngine::Document(_) = self.inner {
            // A document is written as a whole: one step, however many records it holds.
            self.step(false).await;
            let written = self.inner.write(s, writes).await;
            self.step(true).await;
            return written;
        }
        let mut written = Vec::new();
        for write in writes {
            written.push(self.write_one(s, write).await);
        }
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
async fn run_until(bench: &Bench, step: usize, after: bool) -> bool {
    let (node, name) = (&bench.place.node, bench.case.name);
    let loaded = run::load(node, name).expect("a profile");
    let mut programs = cycle::programs(&loaded.profile);
    programs.extend(engines::programs(&loaded.profile));
    let limits = MapLimits::default();
    let mapper = Mapper::start(&node.settings.program, programs, limits)
        .await
        .expect("mappings");
    let (mode, lang) = (Mode::default(), Lang::En);
    let open = Open {
        node,
        name,
        loaded: &loaded,
        mode,
        lang,
    };
    let stopped = Arc::new(Notify::new());
    let engine = Stopping {
        inner: engines::open(&open, mapper.clone())
            .await
            .expect("an engine"),
        left: step,
        after,
        stopped: stopped.clone(),
    };
    let mut cycle = Cycle {
        node,
        name,
        profile: &loaded.profile,
        mapper,
        engine,
        mode,
        lang,
    };
    let whole = async {
        for stream in &loaded.profile.streams {
            let mut report = Report::default();
            let ran = cycle.run_stream(stream, &mut report).await;
            ran.expect("a whole run");
        }
    };
    tokio::select! {
        () = stopped.notified() => true,
        () = whole => false,
    }
}

/// Changes here, one there, one on both sides, and a new item.
async fn bench_with_work(case: Case) -> Bench {
    let bench = Bench::new(case, 3).await;
    if case.begins_there {
        bench.run_well().await;
    }
    for number in 1..=3 {
        bench.set(number, &format!("1{number}")).await;
    }
    bench.run_well().await;
    bench.approve();
    bench.set(1, "41").await;
    bench.edit(2, "62");
    bench.set(3, "43").await;
    if case.back == Back::Arrives {
        bench.edit(3, "63");
    }
    bench.begin(4).await;
    if !case.begins_there {
        bench.set(4, "44").await;
    }
    bench
}

async fn assert_all_is_there(bench: &Bench, said: &str) {
    let Case {
        back, begins_there, ..
    } = bench.case;
    let (second, third, conflicts) = match back {
        Back::Arrives => ("62", "63", 1),
        Back::Undone => ("12", "43", 0),
        Back::Kept => ("62", "43", 0),
    };
    let fourth = if begins_there { "" } else { "44" };
    for (number, expected) in [(1, "41"), (2, second), (3, third), (4, fourth)] {
        assert_eq!(bench.there(number), [expected], "item {number}, {said}");
    }
    let here = if back == Back::Arrives { "62" } else { "12" };
    assert_eq!(bench.here(2).await, here, "{said}");
    assert_eq!(bench.count_here().await, (4, conflicts), "{said}");
}

/// Cuts a run at every step it has.
async fn cut_everywhere(name: &str) {
    for after in [false, true] {
        let mut step = 1;
        loop {
            let bench = bench_with_work(case(name)).await;
            let reached = run_until(&bench, step, after).await;
            let said = format!("{name}, step {step}, after {after}");
            bench.run().await;
            bench.approve();
            assert_all_is_there(&bench, &said).await;
            bench.assert_rest(&said).await;
            if !reached {
                break;
            }
            step += 1;
        }
        assert!(
            step > 2,
            "{name}: a listing and a write at least, was {step}"
        );
    }
}

/// One test for each profile, so that they run side by side.
macro_rules! cut_everywhere {
    ($($test:ident: $name:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($name),*];

        $(#[tokio::test]
        async fn $test() {
            cut_everywhere($name).await;
        })*
    };
}

cut_everywhere! {
    the_ioc_cut_at_any_step_loses_nothing_and_doubles_nothing: "ioc",
    leadership_tasks_cut_at_any_step_lose_nothing_and_double_nothing: "leadership-tasks",
    lgsp_cut_at_any_step_loses_nothing_and_doubles_nothing: "lgsp",
    national_reporting_cut_at_any_step_loses_nothing_and_doubles_nothing: "national-reporting",
    the_resolution_tracker_cut_at_any_step_loses_nothing_and_doubles_nothing: "resolution-tracker",
    statistics_cut_at_any_step_lose_nothing_and_double_nothing: "statistics",
    theodoinq_cut_at_any_step_loses_nothing_and_doubles_nothing: "theodoinq",
    the_tracker_cut_at_any_step_loses_nothing_and_doubles_nothing: "tracker",
}

#[test]
fn every_profile_with_a_simulator_is_cut() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(TESTED, cases);
}
