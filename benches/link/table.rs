//! The figures as one table and one JSON document.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::Figures;

/// One figure beside what it is measured against.
pub struct Line {
    key: &'static str,
    what: &'static str,
    ours: f64,
    measure: &'static str,
    /// What the base is, and its value.
    base: Option<(&'static str, f64)>,
    budget: Option<(Limit, f64)>,
    /// Whether the budget is kept; `None` where there is none.
    pub kept: Option<bool>,
}

/// Which figure a budget limits.
#[derive(Clone, Copy)]
enum Limit {
    /// Our figure is at least this part of the base.
    PartOfBase,
    /// Our figure is at most this many times the base.
    TimesBase,
    /// Our figure itself is at most this.
    Plain,
}

impl Line {
    fn new(key: &'static str, what: &'static str, ours: f64, measure: &'static str) -> Line {
        Line {
            key,
            what,
            ours,
            measure,
            base: None,
            budget: None,
            kept: None,
        }
    }

    fn beside(mut self, what: &'static str, base: f64) -> Line {
        self.base = Some((what, base));
        self
    }

    fn budget(mut self, limit: Limit, value: f64) -> Line {
        self.kept = Some(match limit {
            Limit::PartOfBase => self.ratio() >= Some(value),
            Limit::TimesBase => self.ratio().is_some_and(|ratio| ratio <= value),
            Limit::Plain => self.ours <= value,
        });
        self.budget = Some((limit, value));
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.base.map(|(_, base)| self.ours / base)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn over<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().map(figure).collect())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn at(times: &[Duration], percent: usize) -> f64 {
    ms(times[(times.len() * percent / 100).min(times.len() - 1)])
}

/// The lines of the table: medians over the rounds.
pub fn lines(figures: &Figures) -> Vec<Line> {
    let records = figures.records as f64;
    let rate = |time: Duration| records / time.as_secs_f64();
    let floor = over(&figures.floor, |time| rate(*time));
    let two_syncs = 2.0 * ms(figures.sync);
    let loaded = &figures.loaded;
    let mut lines = vec![
        Line::new(
            "w1_rate",
            "W1 first load, records a second",
            over(loaded, |l| rate(l.first_load.time)),
            "/s",
        )
        .beside("SQLite alone", floor)
        .budget(Limit::PartOfBase, 0.35),
        Line::new(
            "w1_time",
            "   the same, time",
            over(loaded, |l| l.first_load.time.as_secs_f64()),
            "s",
        )
        .beside("SQLite alone", records / floor),
        Line::new(
            "w1_bytes",
            "   bytes on the wire",
            over(loaded, |l| l.first_load.passed.bytes() as f64) / 1e6,
            "MB",
        )
        .beside("zstd of the records", figures.plain_zstd as f64 / 1e6),
        Line::new(
            "w1_child",
            "   greatest memory of the child",
            over(loaded, |l| mib(l.first_load.child_kib)),
            "MiB",
        )
        .budget(Limit::Plain, 128.0),
        Line::new(
            "w1_parent",
            "   greatest memory of the parent",
            over(loaded, |l| mib(l.first_load.parent_kib)),
            "MiB",
        ),
        Line::new(
            "idle",
            "   the child's service at rest",
            over(loaded, |l| mib(l.idle_kib)),
            "MiB",
        )
        .budget(Limit::Plain, 48.0),
        Line::new(
            "w2_time",
            "W2 1,000 changes, connecting included",
            over(loaded, |l| ms(l.changes.time)),
            "ms",
        ),
        Line::new(
            "w2_bytes",
            "   bytes on the wire",
            over(loaded, |l| l.changes.passed.bytes() as f64) / 1e3,
            "kB",
        )
        .beside(
            "zstd of the changed records",
            over(loaded, |l| l.changes_base as f64) / 1e3,
        )
        .budget(Limit::TimesBase, 1.5),
    ];
    lines.extend([
        Line::new(
            "w3_p50",
            "W3 one change, child and parent: median",
            over(&figures.single, |t| at(t, 50)),
            "ms",
        )
        .beside("two syncs of the disk", two_syncs),
        Line::new(
            "w3_p99",
            "   99 of 100 within",
            over(&figures.single, |t| at(t, 99)),
            "ms",
        )
        .beside("two syncs of the disk", two_syncs),
        Line::new(
            "w3_tiers_p50",
            "   until the ministry shows it: median",
            over(&figures.tiers, |t| at(t, 50)),
            "ms",
        ),
        Line::new(
            "w3_tiers_p95",
            "   slowest of the 20 of a round",
            over(&figures.tiers, |t| at(t, 95)),
            "ms",
        ),
        Line::new(
            "w4_time",
            "W4 100 children x 200 changes",
            over(&figures.storm, |s| s.time.as_secs_f64()),
            "s",
        )
        .beside("SQLite alone, 20,000 records", 20_000.0 / floor),
        Line::new(
            "w4_parent",
            "   greatest memory of the parent",
            over(&figures.storm, |s| mib(s.parent_kib)),
            "MiB",
        )
        .budget(Limit::Plain, 128.0),
        Line::new(
            "w4_put_off",
            "   children put off",
            over(&figures.storm, |s| s.put_off as f64),
            "",
        ),
        Line::new(
            "w5_requests",
            "W5 a round with nothing changed: requests",
            over(loaded, |l| l.quiet.requests),
            "",
        )
        .budget(Limit::Plain, 1.0),
        Line::new(
            "w5_bytes",
            "   bytes on the wire, both ways",
            over(loaded, |l| l.quiet.bytes),
            "B",
        )
        .budget(Limit::Plain, 1024.0),
        Line::new(
            "w5_time",
            "   time",
            over(loaded, |l| ms(l.quiet.time)),
            "ms",
        ),
        Line::new(
            "w5_parent_cpu",
            "   processor time of the parent",
            over(loaded, |l| ms(l.quiet.parent_cpu)),
            "ms",
        ),
        Line::new(
            "w5_child_cpu",
            "   processor time of the child",
            over(loaded, |l| ms(l.quiet.child_cpu)),
            "ms",
        ),
    ]);
    lines
}

fn shown(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// The table.
pub fn text(figures: &Figures, lines: &[Line]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\nlink: {} records of {} bytes, medians of {} rounds; one sync of the disk takes {} ms\n\
         W4, W3 over two tiers: the children are clients in the benchmark's process; all other nodes are real processes\n",
        figures.records,
        figures.plain_bytes / figures.records,
        figures.floor.len(),
        shown(ms(figures.sync)),
    );
    let _ = writeln!(
        text,
        "{:<42} {:>12} {:>12}  {:<29} {:>6}  {:<14}",
        "", "nqsync", "beside", "", "ratio", "budget"
    );
    for line in lines {
        let (base, what) = match line.base {
            Some((what, base)) => (shown(base), what),
            None => (String::new(), ""),
        };
        let ratio = line
            .ratio()
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default();
        let budget = match (line.budget, line.kept) {
            (Some((limit, value)), Some(kept)) => {
                let sign = match limit {
                    Limit::PartOfBase => ">=",
                    Limit::TimesBase => "<= x",
                    Limit::Plain => "<=",
                };
                format!("{sign} {value} {}", if kept { "ok" } else { "MISSED" })
            }
            _ => String::new(),
        };
        let ours = format!("{} {}", shown(line.ours), line.measure);
        let row = format!(
            "{:<42} {ours:>12} {base:>12}  {what:<29} {ratio:>6}  {budget}",
            line.what
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// The same for machines, with every round.
pub fn json(figures: &Figures, lines: &[Line]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({ "key": line.key, "what": line.what.trim(), "value": line.ours, "unit": line.measure,
                "base": line.base.map(|(what, value)| json!({ "what": what, "value": value })),
                "ratio": line.ratio(), "budget": line.budget.map(|(_, value)| value), "kept": line.kept })
        })
        .collect();
    let rounds: Vec<Value> = figures
        .loaded
        .iter()
        .zip(&figures.floor)
        .zip(figures.single.iter().zip(&figures.storm))
        .zip(&figures.tiers)
        .map(|(((loaded, floor), (single, storm)), tiers)| {
            json!({ "floor_s": floor.as_secs_f64(), "w1_s": loaded.first_load.time.as_secs_f64(),
                "w1_up": loaded.first_load.passed.up, "w1_down": loaded.first_load.passed.down,
                "w2_ms": ms(loaded.changes.time), "w2_up": loaded.changes.passed.up,
                "w2_down": loaded.changes.passed.down, "w3_p50_ms": at(single, 50), "w3_p99_ms": at(single, 99),
                "w3_tiers_p50_ms": at(tiers, 50),
                "w4_s": storm.time.as_secs_f64(), "w4_parent_kib": storm.parent_kib })
        })
        .collect();
    json!({ "version": env!("CARGO_PKG_VERSION"), "records": figures.records, "plain_bytes": figures.plain_bytes,
        "plain_zstd_bytes": figures.plain_zstd, "sync_ms": ms(figures.sync), "lines": lines, "rounds": rounds })
}
