//! The verbs of adapters. They talk to the outside and start processes, so they stand above the node's own verbs.

use serde_json::{Value, json};

use super::connect::{self, Answers};
use super::cycle::Mode;
use super::delivery::{self, Delivered};
use super::run::{self, NotBegun};
use super::workbook;
use crate::api::{Answer, Command, Exit, Failure, Lang, Outcome, Request};
use crate::node::commands::{self, sentence};
use crate::node::{Node, Refusal};
use crate::store::StoreError;
use crate::store::adapters::{self, Run};

/// Runs shown of an adapter.
const SHOWN_RUNS: u32 = 20;
/// Shadows shown of an adapter; the count is of all.
const SHOWN_SHADOWS: usize = 200;

/// Carries out any verb: those of adapters here, every other one at the node.
pub async fn execute(node: &Node, request: Request) -> Outcome {
    let lang = request.lang;
    match &request.command {
        Command::AdapterList => list(node, lang).await,
        Command::AdapterShow { name } => show(node, name, lang).await,
        Command::AdapterTemplates => connect::templates(),
        Command::AdapterTemplate { template } => connect::template(node, lang, template),
        Command::AdapterSettings { name } => connect::settings(node, lang, name),
        Command::AdapterSet {
            name,
            template,
            keys,
            secrets,
            enabled,
        } => {
            let answers = Answers {
                name,
                template: template.as_deref(),
                keys,
                secrets,
                enabled: *enabled,
            };
            connect::set(node, &request, &answers).await
        }
        Command::AdapterCheck { name } => {
            let mode = Mode {
                trial: true,
                one_page: true,
                release: false,
            };
            exchange(node, name, mode, lang).await
        }
        Command::AdapterRun {
            name,
            dry_run,
            release,
        } => {
            let mode = Mode {
                trial: *dry_run,
                one_page: false,
                release: *release,
            };
            exchange(node, name, mode, lang).await
        }
        Command::Export { kind, unit, period } => {
            let asked = workbook::Asked {
                kind: *kind,
                unit: unit.as_deref(),
                period: period.as_deref(),
                subtree: true,
            };
            workbook::export(node, &request, &asked).await
        }
        Command::ImportEdits {
            source,
            rows,
            dry_run,
        } => {
            let returned = workbook::read_rows(lang, rows)?;
            let taking = workbook::Taking {
                node: node.clone(),
                lang,
                person: request.person.clone(),
                acting_for: request.acting_for.clone(),
                trial: *dry_run,
                submit: false,
                units: None,
            };
            workbook::take_back(taking, source, returned).await
        }
        _ => commands::execute(node, request).await,
    }
}

async fn exchange(node: &Node, name: &str, mode: Mode, lang: Lang) -> Outcome {
    let outcome = run::run(node, name, mode, lang)
        .await
        .map_err(|error| refused(lang, name, error))?;
    let data = outcome.data(lang, name, mode);
    if let Some(error) = &outcome.error {
        let args = [
            ("name", name.to_owned()),
            ("reason", run::said(lang, error)),
        ];
        return Err(Failure {
            exit: outcome.exit(),
            code: "adapter_run".to_owned(),
            message: sentence(lang, "err-adapter-run", &args),
            data,
        });
    }
    let mut notes = Vec::new();
    for (_, report) in &outcome.streams {
        if let Some(held) = &report.held {
            let args = [
                ("here", held.here.to_string()),
                ("there", held.there.to_string()),
                ("known", held.known.to_string()),
                ("name", name.to_owned()),
            ];
            notes.push(sentence(lang, "note-adapter-held", &args));
        }
    }
    let problems: usize = outcome
        .streams
        .iter()
        .map(|(_, report)| report.problems.len())
        .sum();
    if problems > 0 {
        let args = [("count", problems.to_string()), ("name", name.to_owned())];
        notes.push(sentence(lang, "note-adapter-problems", &args));
    }
    if mode.trial {
        notes.push(sentence(lang, "note-adapter-trial", &[]));
    }
    Ok(Answer {
        exit: outcome.exit(),
        data,
        notes,
    })
}

fn refused(lang: Lang, name: &str, error: NotBegun) -> Failure {
    let name = ("name", name.to_owned());
    let refusal = match error {
        NotBegun::Unknown { path } => Refusal::usage(
            "adapter-unknown",
            [name, ("path", path.display().to_string())],
        ),
        NotBegun::Busy(_) => Refusal::with(Exit::Locked, "adapter-busy", [name]),
        NotBegun::Profile(errors) => {
            let problems = errors.to_string();
            Refusal::with(
                Exit::Configuration,
                "adapter-profile",
                [("problems", problems)],
            )
        }
        NotBegun::Run(error) => {
            let reason = ("reason", run::said(lang, &error));
            Refusal::with(run::exit_of(&error), "adapter-run", [name, reason])
        }
    };
    commands::refuse(lang, refusal)
}

/// `adapter list`.
async fn list(node: &Node, lang: Lang) -> Outcome {
    let mut items = Vec::new();
    for name in run::names(node) {
        let kept = last_run(node, &name).await.map_err(|e| failed(lang, e))?;
        let mut item = match run::load(node, &name) {
            Ok(loaded) => json!({
                "name": name,
                "title": loaded.profile.title,
                "engine": loaded.profile.engine,
                "unit": loaded.profile.unit,
                "enabled": loaded.profile.enabled,
                "valid": true,
                "insecure": loaded.profile.http.as_ref().is_some_and(|http| http.is_open()),
            }),
            Err(error) => json!({ "name": name, "valid": false, "error": error.to_string() }),
        };
        item["last_run"] = kept
            .as_ref()
            .map(|run| run_item(run, run::is_running(node, &name)))
            .unwrap_or_default();
        items.push(item);
    }
    Ok(Answer {
        exit: Exit::Done,
        data: commands::views::listed(items),
        notes: Vec::new(),
    })
}

/// `adapter show`.
async fn show(node: &Node, name: &str, lang: Lang) -> Outcome {
    let loaded = run::load(node, name).map_err(|error| refused(lang, name, error))?;
    let streams: Vec<String> = loaded
        .profile
        .streams
        .iter()
        .map(|s| s.name.clone())
        .collect();
    let adapter = name.to_owned();
    let read = node.store.read(move |connection| {
        let mut shown = Vec::new();
        for stream in &streams {
            let of = adapters::Of {
                adapter: &adapter,
                stream,
            };
            let outbox = adapters::outbox(connection, of)?;
            let held: Option<Value> =
                adapters::state(connection, &adapter, &format!("held.{stream}"))?;
            let sent: Option<Vec<Delivered>> =
                adapters::state(connection, &adapter, &delivery::journal(stream))?;
            let sent = sent.unwrap_or_default().into_iter().rev().map(|sent| {
                json!({ "at": commands::views::time(sent.at), "file": sent.file, "rows": sent.rows,
                    "to": sent.to, "receipt": sent.receipt })
            });
            let (mut known, mut missing, mut items) = (0, 0, Vec::new());
            adapters::each_shadow(connection, of, |shadow| {
                known += 1;
                missing += usize::from(shadow.missing_since.is_some());
                if known <= SHOWN_SHADOWS {
                    items.push(json!({
                        "key": shadow.key, "id": shadow.id, "record": shadow.record,
                        "ours": shadow.ours, "theirs": shadow.theirs,
                        "agreed_at": commands::views::time(shadow.agreed_at),
                        "missing_since": shadow.missing_since.map(commands::views::time),
                    }));
                }
            })?;
            shown.push(json!({
                "name": stream, "known": known,
                "missing": missing,
                "in_doubt": outbox.len(), "held": held, "shadow": items,
                "deliveries": sent.collect::<Vec<_>>(),
            }));
        }
        let runs = adapters::runs(connection, &adapter, SHOWN_RUNS)?;
        let problems = adapters::problems(connection, &adapter)?;
        Ok::<_, StoreError>((shown, runs, problems))
    });
    let (shown, runs, problems) = read.await.map_err(|e| failed(lang, e))?;
    let problems: Vec<Value> = problems
        .iter()
        .map(|(stream, p)| {
            json!({ "stream": stream, "key": p.key, "code": p.code, "text": p.text,
                "since": commands::views::time(p.since) })
        })
        .collect();
    let waiting = waiting(&runs);
    let (profile, running) = (&loaded.profile, run::is_running(node, name));
    Ok(Answer {
        exit: Exit::Done,
        data: json!({
            "name": name, "title": profile.title, "engine": profile.engine, "unit": profile.unit,
            "enabled": profile.enabled, "streams": shown, "problems": problems, "waiting": waiting,
            "runs": runs.iter().map(|run| run_item(run, running && run == &runs[0])).collect::<Vec<_>>(),
        }),
        notes: Vec::new(),
    })
}

async fn last_run(node: &Node, name: &str) -> Result<Option<Run>, StoreError> {
    let adapter = name.to_owned();
    let runs = node
        .store
        .read(move |connection| adapters::runs(connection, &adapter, 1));
    Ok(runs.await?.pop())
}

/// What waited for somebody there, by the last run that saw everything.
fn waiting(runs: &[Run]) -> Vec<Value> {
    let whole = |run: &&Run| matches!(run.outcome.as_deref(), Some("done" | "partly"));
    let last = runs.iter().find(whole);
    let streams = last.and_then(|run| run.summary["streams"].as_object());
    let mut found = Vec::new();
    for (stream, report) in streams.into_iter().flatten() {
        for (key, text) in report["waiting"].as_object().into_iter().flatten() {
            found.push(json!({ "stream": stream, "key": key, "text": text }));
        }
    }
    found
}

/// A run in a few figures. One without an end goes on, or was cut by a crash.
fn run_item(run: &Run, running: bool) -> Value {
    let open = if running { "running" } else { "cut" };
    let figures = |name: &str| -> u64 {
        let streams = run.summary["streams"].as_object();
        let counts = streams.into_iter().flat_map(|all| all.values());
        counts.filter_map(|report| report[name].as_u64()).sum()
    };
    json!({
        "began_at": commands::views::time(run.began_at),
        "ended_at": run.ended_at.map(commands::views::time),
        "outcome": run.outcome.as_deref().unwrap_or(open),
        "error": run.summary["error"],
        "listed": figures("listed"), "pulled": figures("pulled"), "pushed": figures("pushed"),
        "created": figures("created"), "conflicts": figures("conflicts"), "missing": figures("missing"),
    })
}

fn failed(lang: Lang, error: StoreError) -> Failure {
    commands::refuse(lang, Refusal::from(error))
}
