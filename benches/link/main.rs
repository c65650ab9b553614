//! `cargo bench --bench link`: how fast and how lean a link is, beside what SQLite alone takes in the same run.
//!
//! W1 the first load of a child, W2 a thousand changed records after it, W3 one change until it is settled, W4 a
//! hundred children at once, W5 a round with nothing changed. Nodes are the real program as real processes with real
//! TLS, except the small children of W4 and the child of W3 over two tiers: those are clients in this process. Only ratios of
//! one run mean anything on a machine that is shared.

mod data;
mod floor;
mod measures;
mod nodes;
mod relay;
mod table;
mod tiers;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use measures::{Loaded, Storm};
use world::World;

/// Who types everything.
const PERSON: &str = "Nguyễn Văn An";
/// A socket's path may have 107 bytes; a build folder deeper than this leaves too few.
const DEEPEST: usize = 60;

/// What can be said on the command line: `cargo bench --bench link -- --rounds 5 --json figures.json`.
struct Options {
    records: usize,
    rounds: usize,
    json: PathBuf,
}

/// What all rounds showed.
struct Figures {
    records: usize,
    plain_bytes: usize,
    plain_zstd: usize,
    sync: Duration,
    floor: Vec<Duration>,
    loaded: Vec<Loaded>,
    single: Vec<Vec<Duration>>,
    tiers: Vec<Vec<Duration>>,
    storm: Vec<Storm>,
}

impl Options {
    fn read() -> Result<Options, String> {
        let mut options = Options {
            records: 100_000,
            rounds: 3,
            json: PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .with_file_name("bench")
                .join("link.json"),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| {
                text.parse::<usize>()
                    .map_err(|_| format!("{text:?} is not a number"))
            };
            match argument.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--records" => options.records = number(value()?)?.max(measures::CHANGED),
                "--rounds" => options.rounds = number(value()?)?.max(1),
                "--json" => options.json = value()?.into(),
                other => {
                    return Err(format!(
                        "{other:?}: only --records N, --rounds N and --json FILE are known"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn main() {
    let options = Options::read().unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(2)
    });
    let beside_the_build = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = match beside_the_build.as_os_str().len() {
        ..DEEPEST => beside_the_build,
        _ => std::env::temp_dir(),
    };
    let dir = tempfile::Builder::new()
        .prefix("link")
        .tempdir_in(place)
        .expect("a folder");
    eprintln!(
        "preparing {} records and {} small children …",
        options.records,
        world::CROWD
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let world = World::build(&runtime, dir.path(), options.records);
    let (plain_bytes, plain_zstd) = plain(&world);
    let mut figures = Figures {
        records: options.records,
        plain_bytes,
        plain_zstd,
        sync: floor::sync_time(dir.path()),
        floor: Vec::new(),
        loaded: Vec::new(),
        single: Vec::new(),
        tiers: Vec::new(),
        storm: Vec::new(),
    };
    for number in 1..=options.rounds {
        eprintln!("round {number} of {} …", options.rounds);
        let below = tempfile::tempdir_in(dir.path()).expect("a folder");
        figures
            .floor
            .push(floor::load(below.path(), options.records));
        figures
            .loaded
            .push(runtime.block_on(measures::loaded(&world)));
        figures
            .single
            .push(runtime.block_on(measures::single(&world)));
        figures
            .tiers
            .push(tiers::Tiers::start(below.path()).round());
        figures
            .storm
            .push(runtime.block_on(measures::storm(&world)));
    }
    let lines = table::lines(&figures);
    print!("{}", table::text(&figures, &lines));
    let json = serde_json::to_string_pretty(&table::json(&figures, &lines)).expect("plain figures");
    let written = options
        .json
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&options.json, json + "\n"));
    match written {
        Ok(()) => println!("figures: {}", options.json.display()),
        Err(error) => eprintln!("cannot write {}: {error}", options.json.display()),
    }
    let kept = lines.iter().all(|line| line.kept != Some(false));
    // Dropped by hand: exit() runs no destructors.
    drop((world, dir));
    std::process::exit(if kept { 0 } else { 1 });
}

/// Bytes of all records as plain JSON, and of their zstd frames of 1,000 records.
fn plain(world: &World) -> (usize, usize) {
    let (mut bytes, mut packed) = (0, 0);
    let numbers: Vec<usize> = (0..world.records).collect();
    for batch in numbers.chunks(1_000) {
        let lines: Vec<String> = batch
            .iter()
            .map(|number| {
                let report = data::Report::numbered(*number, 0, world.tasks.len());
                report.plain(world.unit, world.issuer, &world.tasks)
            })
            .collect();
        let text = lines.join("\n");
        let frame = zstd::bulk::compress(text.as_bytes(), nqsync_core::protocol::ZSTD_LEVEL);
        bytes += text.len();
        packed += frame.expect("a frame").len();
    }
    (bytes, packed)
}
