//! `cargo run --release --example simulate -- --seed S --nodes N --days D --faults LIST [--seeds COUNT]`: years of faults in
//! minutes, on the production code. See `docs/reliability.md`.

#[allow(dead_code)] // The tests use the rest.
mod sim;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sim::country::Size;
use sim::faults::Fault;
use sim::{Options, run};

/// Runs the seeded simulator.
#[derive(Parser)]
struct Args {
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Nodes.
    #[arg(long, default_value_t = 8)]
    nodes: usize,
    /// Days on which people work and faults happen.
    #[arg(long, default_value_t = 60)]
    days: u32,
    /// Kinds of faults, separated by commas; `all`; `none`.
    #[arg(long, default_value = "all")]
    faults: String,
    /// Print every step.
    #[arg(long)]
    trace: bool,
    /// A whole country instead, without faults: so many provinces; the other nodes are communes.
    #[arg(long, value_name = "PROVINCES")]
    country: Option<usize>,
}

/// Lets a whole country live, and prints what came of it.
fn country(
    provinces: usize,
    Args {
        nodes,
        days,
        seed,
        seeds,
        ..
    }: &Args,
) -> ExitCode {
    let size = Size {
        provinces,
        communes: nodes.saturating_sub(1 + provinces),
        days: *days,
        seed: *seed,
        seeds: *seeds,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let began = Instant::now();
    let seen = runtime.block_on(sim::country::run(size));
    for (what, seconds) in &seen.times {
        println!("{what}: {seconds:.1} s");
    }
    seen.broken
        .iter()
        .take(20)
        .for_each(|words| println!("  {words}"));
    // What the system says of this process, where it says anything.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!(
        "seeds {seed} to {}: {} nodes in {seeds} runs of {days} days, {} reports at commune, province and ministry as told, {} of {} \
         links agree, {} broken; greatest memory {}, {} MiB on disk, {:.0?}",
        seed + seeds - 1,
        *seeds as usize * nodes,
        seen.reports,
        seen.agreeing,
        *seeds as usize * (nodes - 1),
        seen.broken.len(),
        peak.unwrap_or("unknown").trim(),
        seen.disk_bytes >> 20,
        began.elapsed()
    );
    if seen.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let faults = match Fault::list(&args.faults) {
        Ok(faults) => faults,
        Err(words) => {
            eprintln!("{words}");
            return ExitCode::from(2);
        }
    };
    if let Some(provinces) = args.country {
        return country(provinces.max(1), &args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let began = Instant::now();
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut messages, mut writes, mut broken) = (0, 0, 0);
    for seed in args.seed..args.seed + args.seeds {
        let options = Options {
            seed,
            nodes: args.nodes,
            days: args.days,
            faults: faults.clone(),
            trace: args.trace,
        };
        let outcome = runtime.block_on(run(&options));
        println!(
            "seed {seed}: {} writes, {} messages, {} set aside, {} lost with a disk, trace {}, {:.0?} so far",
            outcome.writes,
            outcome.messages,
            outcome.set_aside,
            outcome.lost_with_disk,
            outcome.trace,
            began.elapsed()
        );
        if !outcome.broken.is_empty() {
            println!("seed {seed} is broken; again with: {}", options.command());
            outcome
                .broken
                .iter()
                .take(20)
                .for_each(|words| println!("  {words}"));
        }
        for (fault, count) in &outcome.faults {
            *happened.entry(fault).or_default() += count;
        }
        messages += outcome.messages;
        writes += outcome.writes;
        broken += outcome.broken.len();
    }
    let node_days = args.seeds * args.nodes.max(2) as u64 * u64::from(args.days);
    let faults: Vec<String> = happened
        .iter()
        .map(|(fault, count)| format!("{fault} {count}"))
        .collect();
    println!("\n| seeds | node-days | writes | messages | faults | invariants broken | time |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    println!(
        "| {} | {node_days} | {writes} | {messages} | {} | {broken} | {:.0?} |",
        args.seeds,
        faults.join(", "),
        began.elapsed()
    );
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
