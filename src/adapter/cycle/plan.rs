//! One stream from listing to rest.

use std::collections::BTreeSet;

use super::brake;
use super::packed::Packed;
use super::report::Report;
use super::round::{Memory, Round, rules};
use super::{Cycle, RunError};
use crate::adapter::engine::{Engine, Lists, Position, Span};
use crate::adapter::profile::Stream;
use crate::store::adapters::{self, Shadow};

/// A full listing is made at least this often where changes alone could be listed, in milliseconds: a change can be
/// missed (a clock set back there), and only a full listing shows what is gone.
const FULL_EVERY_MS: i64 = 24 * 3_600_000;
/// Shadows written in one transaction.
const TOGETHER: usize = 500;

/// Since when changes are listed, and when everything was listed last.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Mark {
    since: Option<i64>,
    full_at: i64,
}

impl<E: Engine> Cycle<'_, E> {
    /// One stream, whole.
    pub async fn run_stream(
        &mut self,
        stream: &Stream,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let mine = self.load_mine(stream, report).await?;
        let memory = self.remember(stream).await?;
        let mark = self.mark(stream).await?;
        let told = (self.lang, self.now_ms());
        let mut round = Round::new(stream, mine, memory, report, told);
        let asked = self.ask_about_doubts(stream, &mut round).await?;
        let recent = self.now_ms() - mark.full_at < FULL_EVERY_MS;
        let span = match (self.engine.lists(stream), mark.since) {
            (Lists::News, since) => Span::Since(since.unwrap_or_default()),
            (Lists::Changes, Some(since)) if asked && recent => Span::Since(since),
            _ => Span::Full,
        };
        let full = span == Span::Full;
        let clock = self.list(stream, &span, &mut round).await?;
        if full && !self.mode.one_page && !self.mode.release {
            let (known, seen) = round.known_and_seen();
            let listed = round.report().listed;
            if brake::shrunken(&self.profile.brake, known, seen, listed) {
                return Err(RunError::Shrunken { known, seen });
            }
        }
        if !self.mode.one_page {
            round.not_listed(full);
        }
        round.tell_differences();
        if self.holds(stream, &mut round).await? {
            return Ok(());
        }
        if self.mode.trial {
            round.foretell();
            return Ok(());
        }
        let work = round.end();
        self.settle(stream, work.settled, work.doubtful).await?;
        let rules = rules(stream);
        let pushes = self.pull(stream, &rules, work.todo, report).await?;
        let complete = self.push(stream, &rules, pushes, report).await?;
        self.hand_over(stream, work.files, report).await?;
        if !self.mode.one_page {
            self.engine.done(stream, &report.met()).await?;
        }
        let complete = complete && report.problems.is_empty();
        let full_at = if full { told.1 } else { mark.full_at };
        let since = clock.filter(|_| complete).or(mark.since);
        self.keep_mark(stream, Mark { since, full_at }).await
    }

    async fn remember(&self, stream: &Stream) -> Result<Memory, RunError> {
        let (adapter, name) = (self.name.to_owned(), stream.name.clone());
        let read = self.read(move |view| {
            let of = adapters::Of {
                adapter: &adapter,
                stream: &name,
            };
            let mut memory = Memory::default();
            adapters::each_shadow(view.connection, of, |shadow| {
                let packed = Packed::new(&shadow);
                memory.keys_by_id.insert(shadow.id, shadow.key.clone());
                memory.shadows.insert(shadow.key, packed);
            })?;
            let outbox = adapters::outbox(view.connection, of)?.into_iter();
            memory.outbox = outbox.map(|begun| (begun.key.clone(), begun)).collect();
            Ok(memory)
        });
        read.await
    }

    /// Asks the outside about every write that was begun and not read back. Answers whether it could be asked about all;
    /// otherwise everything has to be listed.
    async fn ask_about_doubts(
        &mut self,
        stream: &Stream,
        round: &mut Round<'_>,
    ) -> Result<bool, RunError> {
        let mut asked = true;
        let doubts: Vec<_> = round.memory().outbox.values().cloned().collect();
        for begun in doubts {
            let records = match &begun.id {
                Some(id) => Some(self.engine.fetch(stream, id).await?.into_iter().collect()),
                None => self.engine.lookup(stream, &begun.key).await?,
            };
            asked &= records.is_some();
            let records = records.unwrap_or_default();
            for theirs in self.understand(stream, records, round.report()).await? {
                round.meet(theirs);
            }
        }
        Ok(asked)
    }

    /// Lists and compares page by page. Answers the outside's clock when the listing began.
    async fn list(
        &mut self,
        stream: &Stream,
        span: &Span,
        round: &mut Round<'_>,
    ) -> Result<Option<i64>, RunError> {
        let (mut from, mut clock) = (Position::default(), None);
        loop {
            let page = self.engine.list(stream, span, &from).await?;
            let report = round.report();
            report.pages += 1;
            report.listed += page.records.len();
            clock = clock.or(page.clock_ms);
            report.source.clone_from(&page.source);
            for (name, why) in page.refused {
                report.problem(&name, "unreadable", why, self.now_ms());
            }
            for theirs in self.understand(stream, page.records, report).await? {
                round.meet(theirs);
            }
            round.report().source = None;
            match page.next {
                Some(next) if !self.mode.one_page => from = next,
                _ => return Ok(clock),
            }
        }
    }

    /// Whether so much would change that a person is asked first.
    async fn holds(&self, stream: &Stream, round: &mut Round<'_>) -> Result<bool, RunError> {
        let (here, there) = round.changes();
        let known = round.memory().shadows.len();
        let held = brake::held(&self.profile.brake, known, here, there);
        let held = held.filter(|_| !self.mode.release);
        round.report().held.clone_from(&held);
        if !self.mode.trial {
            let (adapter, name) = (self.name.to_owned(), format!("held.{}", stream.name));
            let kept = held.clone();
            let store = &self.node.store;
            store
                .write(move |tx| {
                    adapters::set_state(tx.connection(), &adapter, &name, kept.as_ref())
                })
                .await?;
        }
        Ok(held.is_some())
    }

    /// Writes down where both sides agree, and strikes out the writes that were asked about.
    async fn settle(
        &self,
        stream: &Stream,
        mut settled: Vec<Packed<Shadow>>,
        mut doubtful: BTreeSet<String>,
    ) -> Result<(), RunError> {
        while !(settled.is_empty() && doubtful.is_empty()) {
            let rest = settled.split_off(settled.len().min(TOGETHER));
            let now = std::mem::replace(&mut settled, rest);
            let ended = std::mem::take(&mut doubtful);
            let (adapter, name) = (self.name.to_owned(), stream.name.clone());
            let job = move |tx: &mut crate::store::Tx<'_>| {
                let of = adapters::Of {
                    adapter: &adapter,
                    stream: &name,
                };
                for shadow in &now {
                    adapters::save_shadow(tx.connection(), of, &shadow.open())?;
                }
                for key in &ended {
                    adapters::end_write(tx.connection(), of, key)?;
                }
                Ok::<_, RunError>(())
            };
            self.node.store.write(job).await?;
        }
        Ok(())
    }

    async fn mark(&self, stream: &Stream) -> Result<Mark, RunError> {
        let (adapter, name) = (self.name.to_owned(), format!("mark.{}", stream.name));
        let kept = self.read(move |view| Ok(adapters::state(view.connection, &adapter, &name)?));
        Ok(kept.await?.unwrap_or_default())
    }

    async fn keep_mark(&self, stream: &Stream, mark: Mark) -> Result<(), RunError> {
        if self.engine.lists(stream) != Lists::Changes {
            return Ok(());
        }
        let (adapter, name) = (self.name.to_owned(), format!("mark.{}", stream.name));
        let job = move |tx: &mut crate::store::Tx<'_>| {
            adapters::set_state(tx.connection(), &adapter, &name, Some(&mark))
        };
        Ok(self.node.store.write(job).await?)
    }
}
