//! A run that is cut at a step: before the outside is asked, or after it carried the step out and before it is answered.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use nqsync::adapter::cycle::{self, Cycle, Mode, Report};
use nqsync::adapter::engine::{
    Engine, EngineError, Lists, Page, Position, Remembered, Span, Upload, Write, Written,
};
use nqsync::adapter::engines::{self, AnyEngine, Open};
use nqsync::adapter::mapping::{MapLimits, Mapper};
use nqsync::adapter::profile::Stream;
use nqsync::adapter::run;
use nqsync::api::Lang;
use nqsync::node::Node;
use serde_json::Value;
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
    fn lists(&self, s: &Stream) -> Lists {
        self.inner.lists(s)
    }

    fn at_once(&self) -> usize {
        self.inner.at_once()
    }

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
        if let AnyEngine::Document(_) | AnyEngine::Tabular(_) = self.inner {
            // A document and a workbook are written as a whole: one step, however many records they hold.
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

    async fn done(&mut self, s: &Stream, met: &[Remembered]) -> Result<(), EngineError> {
        self.step(false).await;
        let done = self.inner.done(s, met).await;
        self.step(true).await;
        done
    }
}

/// Runs the adapter's streams of records until the step; whether it was reached.
pub async fn run_until(node: &Node, name: &str, step: usize, after: bool) -> bool {
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
        let of_records = loaded
            .profile
            .streams
            .iter()
            .filter(|s| s.workbook.is_none());
        for stream in of_records {
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

/// Runs the adapter whole, workbooks of ours included, and ends the run for good when it waits for something (disk, network,
/// another process) the `wait`th time; whether it came so far.
pub async fn run_until_wait(node: &Node, name: &str, wait: usize) -> bool {
    let mut run = pin!(run::run(node, name, Mode::default(), Lang::En));
    let mut waits = 0;
    poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(ended) => {
            ended.expect("a run that begins");
            Poll::Ready(false)
        }
        Poll::Pending => {
            waits += 1;
            match waits == wait {
                true => Poll::Ready(true),
                false => Poll::Pending,
            }
        }
    })
    .await
}
