//! `adapter`: the same data in outside systems.

mod new;
mod test;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::list::{Col, col, listed, num, tabled};
use super::output::Output;
use super::screen::{Screen, at, items};
use super::{Caller, Job, job};
use crate::adapter::profile;
use crate::adapter::simulate::{self, Exchange, Fault, Mailbox, Police, sample_directive};
use crate::api::{Answer, Command, Exit, Failure};
use crate::clock::Clock;
use crate::t;

/// Verbs of `adapter`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    #[command(flatten)]
    Asked(Asked),
    /// Start an outside system to train on, on this machine, with a small memory and faults on demand
    #[command(
        after_help = "Examples:\n  nqsync adapter simulate tracker --port 0\n  nqsync adapter simulate tracker --fault empty"
    )]
    Simulate(SimulateArgs),
    /// Begin a profile for another system from a template; asks on a terminal, and --set answers for it
    #[command(
        after_help = "Examples:\n  nqsync adapter new tracker\n  nqsync adapter new tracker --set http.base_url=https://tracker.example.vn/api --set stream.progress.http.paging.limit=50\n  nqsync adapter new tracker --to - > profile.toml"
    )]
    New(new::NewArgs),
    /// Run a profile's own tests of its mappings; nothing is reached or written
    #[command(
        after_help = "Examples:\n  nqsync adapter test tracker\n  nqsync adapter test adapters/rest/profile.toml"
    )]
    Test(test::TestArgs),
    /// Print the JSON schema of profiles, for editors
    #[command(after_help = "Example:\n  nqsync adapter schema > profile.schema.json")]
    Schema,
}

/// Verbs that a node answers.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Asked {
    /// List the adapters of this node with their last run
    #[command(after_help = "Example:\n  nqsync adapter list")]
    List,
    /// Show one: last runs, what both sides know, what could not be exchanged
    #[command(after_help = "Example:\n  nqsync adapter show nq57")]
    Show {
        /// Name of the adapter
        name: String,
    },
    /// Try one without risk: log in, read a page, map it, tell what would change; nothing is written on either side
    #[command(after_help = "Example:\n  nqsync adapter check nq57")]
    Check {
        /// Name of the adapter
        name: String,
    },
    /// Exchange now
    #[command(
        after_help = "Examples:\n  nqsync adapter run nq57 --dry-run\n  nqsync adapter run nq57"
    )]
    Run {
        /// Name of the adapter
        name: String,
        /// List everything and tell what would change, but write nothing
        #[arg(long)]
        dry_run: bool,
        /// Let a mass change or a shrunken listing through, this once, after having looked at it
        #[arg(long)]
        release: bool,
    },
}

/// Arguments of `adapter simulate`.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct SimulateArgs {
    /// Which system
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(simulate::names().into_iter().chain([simulate::EXCHANGE, simulate::FOLDERS, simulate::MAIL])))]
    name: String,
    /// For a system beside two folders: where `in` and `out` are
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Port on this machine; 0: any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What it does wrong
    #[arg(long, value_enum, default_value_t = Fault::None)]
    fault: Fault,
}

/// Carries a verb out.
pub(super) fn run(verb: Verb, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Asked(verb) => super::ask(verb.job(), caller, out),
        Verb::Simulate(args) => simulate(&args, caller, out),
        Verb::New(args) => new::new(&args, caller, out),
        Verb::Test(args) => test::test(&args, caller, out),
        Verb::Schema => {
            let answer = Answer {
                exit: Exit::Done,
                data: profile::schema(),
                notes: Vec::new(),
            };
            out.answer(&answer, |schema| format!("{schema:#}\n"));
            Ok(Exit::Done)
        }
    }
}

/// Where the profile of an adapter is, beside the node's configuration.
fn profile_place(caller: &Caller, name: &str) -> PathBuf {
    let config = caller.place.file();
    let beside = config.parent().unwrap_or(Path::new("."));
    beside.join("adapters.d").join(format!("{name}.toml"))
}

/// Serves a simulator until interrupted.
fn simulate(args: &SimulateArgs, caller: &Caller, out: &Output) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        let reason = error.to_string();
        super::failure(
            Exit::Failed,
            "simulator",
            t!(caller.lang, "err-simulator", reason = reason),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(failed)?.block_on(async {
        match args.name.as_str() {
            simulate::FOLDERS => return beside_folders(&args.folder, caller, out).await.map_err(failed),
            simulate::EXCHANGE => return gateway(args.port, caller, out).await.map_err(failed),
            simulate::MAIL => return mailbox(args.port, caller, out).await.map_err(failed),
            _ => {}
        }
        let unknown = || failed(std::io::ErrorKind::NotFound.into());
        let simulator = simulate::named(&args.name, Clock::system()).ok_or_else(unknown)?;
        simulator.fail(args.fault);
        let stop = CancellationToken::new();
        let address = simulate::serve(simulator.router(), args.port, stop.clone())
            .await
            .map_err(failed)?;
        let url = format!("http://{address}");
        let base = format!("{url}{}", simulator.base());
        let secrets: Map<String, Value> = simulator
            .secrets()
            .into_iter()
            .map(|(ending, text)| (format!("NAME.{ending}"), json!(text)))
            .collect();
        let files = secrets.keys().cloned().collect::<Vec<_>>().join(", ");
        let users = simulator.users().join(", ");
        let answer = Answer {
            exit: Exit::Done,
            notes: vec![
                t!(caller.lang, "note-simulator", url = url),
                t!(caller.lang, "note-simulator-profile", name = args.name, base = base, files = files),
                t!(caller.lang, "note-simulator-users", users = users),
            ],
            data: json!({ "name": args.name, "url": url, "base_url": base, "users": simulator.users(), "secrets": secrets }),
        };
        out.answer(&answer, |data| {
            format!("{}\n", data["url"].as_str().unwrap_or_default())
        });
        // Ended by the person who started it; an error means that it cannot be waited for, and then it ends too.
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
        Ok(Exit::Done)
    })
}

/// How often the tracker beside two folders looks into them.
const LOOK: Duration = Duration::from_secs(2);

/// Plays the tracker beside two folders until interrupted: what it is given is imported, reported as begun, and exported.
async fn beside_folders(dir: &Path, caller: &Caller, out: &Output) -> std::io::Result<Exit> {
    let (given, gives) = (dir.join("out"), dir.join("in"));
    std::fs::create_dir_all(&given)?;
    std::fs::create_dir_all(&gives)?;
    let today = Clock::system().today(&jiff::tz::TimeZone::system());
    let mut police = Police::new(&given, &gives, today.year());
    let (given, gives) = (given.display().to_string(), gives.display().to_string());
    let answer = Answer {
        exit: Exit::Done,
        notes: vec![t!(
            caller.lang,
            "note-simulator-folders",
            given = given,
            gives = gives
        )],
        data: json!({ "name": simulate::FOLDERS, "given": given, "gives": gives }),
    };
    out.answer(&answer, |data| {
        format!("{}\n", data["gives"].as_str().unwrap_or_default())
    });
    loop {
        if police.import()? > 0 {
            let names: Vec<String> = police.missions().keys().cloned().collect();
            let month = u8::try_from(today.month()).unwrap_or(1);
            for name in names {
                police.enter(
                    &name,
                    "Đang thực hiện",
                    month,
                    "Đã tiếp nhận, đang triển khai",
                );
            }
            let path = police.export()?;
            println!("{}", path.display());
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Plays a gateway of the document exchange until interrupted.
async fn gateway(port: u16, caller: &Caller, out: &Output) -> std::io::Result<Exit> {
    let exchange = Exchange::new("000.01.00.H19", "demo");
    exchange.send(&sample_directive(
        "12",
        "2026/03/20",
        "Triển khai nhiệm vụ quý II",
    ));
    let stop = CancellationToken::new();
    let address = simulate::serve(exchange.router(), port, stop.clone()).await?;
    let url = format!("http://{address}");
    let answer = Answer {
        exit: Exit::Done,
        notes: vec![
            t!(caller.lang, "note-simulator", url = url),
            t!(
                caller.lang,
                "note-simulator-profile",
                name = simulate::EXCHANGE,
                base = url,
                files = "NAME.token"
            ),
        ],
        data: json!({ "name": simulate::EXCHANGE, "url": url, "base_url": url, "users": [], "secrets": { "NAME.token": "demo" } }),
    };
    out.answer(&answer, |data| {
        format!("{}\n", data["url"].as_str().unwrap_or_default())
    });
    // Ended by the person who started it; an error means that it cannot be waited for, and then it ends too.
    let _ = tokio::signal::ctrl_c().await;
    stop.cancel();
    Ok(Exit::Done)
}

/// Plays a mail server until interrupted.
async fn mailbox(port: u16, caller: &Caller, out: &Output) -> std::io::Result<Exit> {
    let mailbox = Mailbox::new("demo", "demo", None)?;
    let stop = CancellationToken::new();
    let address = mailbox.serve(port, stop.clone()).await?;
    let answer = Answer {
        exit: Exit::Done,
        notes: vec![t!(
            caller.lang,
            "note-simulator-mail",
            port = address.port()
        )],
        data: json!({ "name": simulate::MAIL, "address": address, "users": ["demo"], "secrets": { "NAME.password": "demo" } }),
    };
    out.answer(&answer, |data| {
        format!("{}\n", data["address"].as_str().unwrap_or_default())
    });
    let mut shown = 0;
    loop {
        for mail in mailbox.mails().iter().skip(shown) {
            let subject = mail.text.lines().find(|line| line.starts_with("Subject:"));
            println!(
                "{} -> {}: {}",
                mail.from,
                mail.to.join(", "),
                subject.unwrap_or_default()
            );
            shown += 1;
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    stop.cancel();
    Ok(Exit::Done)
}

impl Asked {
    fn job(self) -> Job {
        match self {
            Asked::List => job(Command::AdapterList, list),
            Asked::Show { name } => job(Command::AdapterShow { name }, show),
            Asked::Check { name } => job(Command::AdapterCheck { name }, ran),
            Asked::Run {
                name,
                dry_run,
                release,
            } => job(
                Command::AdapterRun {
                    name,
                    dry_run,
                    release,
                },
                ran,
            ),
        }
    }
}

fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-name", |a, s| s.plain(at(a, "name"))),
            col("label-adapter-engine", |a, s| s.plain(at(a, "engine"))),
            col("label-unit", |a, s| s.plain(at(a, "unit"))),
            col("label-adapter-enabled", enabled),
            col("label-adapter-last-run", |a, s| {
                s.time(&a["last_run"]["began_at"])
            }),
            col("label-adapter-outcome", |a, s| {
                outcome(&a["last_run"]["outcome"], s)
            }),
        ],
    )
}

fn enabled(adapter: &Value, screen: &Screen) -> String {
    let word = match (adapter["valid"].as_bool(), adapter["enabled"].as_bool()) {
        (Some(false), _) => "word-adapter-invalid",
        (_, Some(true)) => "word-adapter-enabled",
        _ => "word-adapter-by-hand",
    };
    screen.label(word)
}

fn outcome(word: &Value, screen: &Screen) -> String {
    match word.as_str() {
        Some(_) => screen.word("word-outcome-", word),
        None => "-".to_owned(),
    }
}

fn show(data: &Value, screen: &Screen) -> String {
    let mut text = screen.facts(&[
        ("label-name", screen.plain(at(data, "name"))),
        ("label-title", screen.plain(at(data, "title"))),
        ("label-adapter-engine", screen.plain(at(data, "engine"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-adapter-enabled", enabled(data, screen)),
    ]);
    let streams = [
        col("label-adapter-stream", |v, s| s.plain(at(v, "name"))),
        num("label-adapter-known", |v, s| s.plain(at(v, "known"))),
        num("label-adapter-missing", |v, s| s.plain(at(v, "missing"))),
        num("label-adapter-in-doubt", |v, s| s.plain(at(v, "in_doubt"))),
    ];
    text += &section(
        screen,
        "label-adapter-streams",
        items(data, "streams"),
        &streams,
    );
    let sent = [
        col("label-at", |v, s| s.time(at(v, "at"))),
        col("label-file", |v, s| s.plain(at(v, "file"))),
        num("label-adapter-listed", |v, s| s.plain(at(v, "rows"))),
        col("label-adapter-to", |v, s| s.plain(at(v, "to"))),
        col("label-adapter-receipt", |v, s| match at(v, "receipt") {
            Value::Null => s.label("word-adapter-in-doubt"),
            said => s.plain(said),
        }),
    ];
    for stream in items(data, "streams") {
        let heading = "label-adapter-deliveries";
        text += &section(screen, heading, items(stream, "deliveries"), &sent);
    }
    let runs = [
        col("label-adapter-last-run", |v, s| s.time(at(v, "began_at"))),
        col("label-adapter-outcome", |v, s| outcome(at(v, "outcome"), s)),
        num("label-adapter-listed", |v, s| s.plain(at(v, "listed"))),
        num("label-adapter-pulled", |v, s| s.plain(at(v, "pulled"))),
        num("label-adapter-pushed", |v, s| s.plain(at(v, "pushed"))),
        num("label-adapter-created", |v, s| s.plain(at(v, "created"))),
        col("label-reason", |v, s| s.plain(at(v, "error"))),
    ];
    text += &section(screen, "label-adapter-runs", items(data, "runs"), &runs);
    let waiting = [
        col("label-ref", |v, s| s.plain(at(v, "key"))),
        col("label-reason", |v, s| s.plain(at(v, "text"))),
    ];
    text += &section(
        screen,
        "label-adapter-waiting",
        items(data, "waiting"),
        &waiting,
    );
    let problems = [
        col("label-ref", |v, s| s.plain(at(v, "key"))),
        col("label-reason", |v, s| s.plain(at(v, "text"))),
        col("label-since", |v, s| s.time(at(v, "since"))),
    ];
    text + &section(
        screen,
        "label-adapter-problems",
        items(data, "problems"),
        &problems,
    )
}

fn section(screen: &Screen, heading: &'static str, rows: &[Value], columns: &[Col]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    super::list::section(screen, heading, &tabled(rows, screen, None, columns))
}

/// What a run did, or would do.
fn ran(data: &Value, screen: &Screen) -> String {
    let mut text = String::new();
    let streams = data["streams"].as_object();
    for (name, report) in streams.into_iter().flatten() {
        text += &format!("{}\n", screen.plain(&Value::String(name.clone())));
        let count = |key: &str| screen.plain(&report[key]);
        text += &screen.facts(&[
            ("label-adapter-listed", count("listed")),
            ("label-adapter-unchanged", count("unchanged")),
            ("label-adapter-foreign", count("foreign")),
            ("label-adapter-pulled", count("pulled")),
            ("label-adapter-pushed", count("pushed")),
            ("label-adapter-created", count("created")),
            ("label-adapter-conflicts", count("conflicts")),
            ("label-adapter-missing", count("missing")),
        ]);
        let waits = report["waiting"].as_object().into_iter().flatten();
        let waits: Vec<Value> = waits
            .map(|(key, text)| json!({ "key": key, "text": text }))
            .collect();
        let waiting = [
            col("label-ref", |v, s| s.plain(at(v, "key"))),
            col("label-reason", |v, s| s.plain(at(v, "text"))),
        ];
        text += &section(screen, "label-adapter-waiting", &waits, &waiting);
        let differences = [
            col("label-ref", |v, s| s.plain(at(v, "key"))),
            col("label-field", |v, s| s.plain(at(v, "field"))),
            col("label-adapter-side", |v, s| {
                s.word("word-side-", at(v, "side"))
            }),
            col("label-adapter-ours", |v, s| s.plain(at(v, "ours"))),
            col("label-adapter-theirs", |v, s| s.plain(at(v, "theirs"))),
        ];
        text += &section(
            screen,
            "label-adapter-differences",
            items(report, "differences"),
            &differences,
        );
        let problems = [
            col("label-ref", |v, s| s.plain(at(v, "key"))),
            col("label-reason", |v, s| s.plain(at(v, "text"))),
        ];
        text += &section(
            screen,
            "label-adapter-problems",
            items(report, "problems"),
            &problems,
        );
    }
    text
}
