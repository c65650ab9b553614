//! The people at the nodes: they give tasks, report on them, propose changes, take things back. Whom and what they
//! choose comes from the seed; what they may do is decided by the verbs.

use nqsync::api::{Command, ReportFields, ReportRef, TaskFields};
use rand::RngExt;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::place::Level;
use super::world::{Task, World};

/// Most open tasks that one unit has given.
const MAX_OPEN: usize = 8;

/// One piece of work at a node. What is refused is noted and no fault: a person may ask for what is not there.
pub async fn work(world: &mut World, at: usize, rng: &mut StdRng) {
    let gives = world.places[at].level != Level::Commune;
    let done = match (gives, rng.random_range(0..12)) {
        (true, 0..=3) => give(world, at, rng).await,
        (true, 4..=5) => change(world, at, rng).await,
        (true, 6) => take_back(world, at, rng).await,
        (true, 7) => report_for_another(world, at, rng).await,
        (_, 8) => decide(world, at, rng).await,
        (_, 9) => settle(world, at).await,
        (_, 10) => propose(world, at, rng).await,
        (_, 11) => prove(world, at, rng).await,
        _ => report(world, at, rng).await,
    };
    if let Err(code) = done {
        world.step(format_args!("{at} was refused: {code}"));
    }
}

type Done = Result<(), String>;

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> Result<&'a T, String> {
    match from.len() {
        0 => Err("nothing to do".to_owned()),
        len => Ok(&from[rng.random_range(0..len)]),
    }
}

fn below(world: &World, at: usize) -> Vec<usize> {
    let is_below = |index: usize| {
        let parent = world.places[index].parent;
        parent == Some(at) || parent.is_some_and(|p| world.places[p].parent == Some(at))
    };
    (0..world.places.len())
        .filter(|index| is_below(*index))
        .collect()
}

fn leads(world: &World, at: usize, rng: &mut StdRng) -> Vec<usize> {
    let below = below(world, at);
    let mut chosen: Vec<usize> = (0..rng.random_range(1..=2))
        .filter_map(|_| pick(rng, &below).ok().copied())
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn codes(world: &World, nodes: &[usize]) -> Vec<String> {
    nodes
        .iter()
        .map(|node| world.places[*node].code.clone())
        .collect()
}

fn own_tasks(world: &World, at: usize) -> Vec<(usize, Uuid)> {
    let open = world.tasks.iter().enumerate();
    open.filter(|(_, task)| task.issuer == at && !task.over)
        .map(|(place, task)| (place, task.id))
        .collect()
}

fn tasks_for(world: &World, at: usize) -> Vec<Uuid> {
    let given = world.tasks.iter();
    given
        .filter(|task| task.leads.contains(&at) && !task.over)
        .map(|task| task.id)
        .collect()
}

async fn give(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    if own_tasks(world, at).len() >= MAX_OPEN {
        return change(world, at, rng).await;
    }
    let chosen = leads(world, at, rng);
    let number = world.tasks.len() + 1;
    let fields = TaskFields {
        group: Some(["I", "II", "III"][rng.random_range(0..3)].to_owned()),
        number: Some(number.to_string()),
        title: Some(format!("Nhiệm vụ {number}")),
        lead: Some(codes(world, &chosen)),
        deadline: Some(format!(
            "{}/{}/2026",
            rng.random_range(1..=28),
            rng.random_range(4..=12)
        )),
        ..TaskFields::default()
    };
    let data = world
        .write(at, None, &[], Command::TaskAdd { fields })
        .await?;
    let id = data["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
    world.tasks.push(Task {
        id: id.ok_or("a task without an id")?,
        issuer: at,
        leads: chosen,
        over: false,
    });
    Ok(())
}

async fn change(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let (place, id) = *pick(rng, &own_tasks(world, at))?;
    let mut fields = TaskFields::default();
    let text = format!("ngày {} lần {}", world.day, rng.random_range(0..1000));
    match rng.random_range(0..4) {
        0 => fields.kpi = Some(text),
        1 => fields.title = Some(text),
        2 => fields.deliverable = Some(text),
        _ => {
            let chosen = leads(world, at, rng);
            fields.lead = Some(codes(world, &chosen));
            world.tasks[place].leads = chosen;
        }
    }
    let command = Command::TaskUpdate {
        task: id.to_string(),
        fields,
        token: None,
    };
    let done = world.write(at, None, &[id], command).await;
    if done.as_ref().is_err_and(|code| code == "unknown_task") {
        world.tasks[place].over = true;
    }
    done.map(drop)
}

async fn take_back(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let (place, id) = *pick(rng, &own_tasks(world, at))?;
    world.tasks[place].over = true;
    let command = Command::TaskWithdraw {
        task: id.to_string(),
        reason: format!("thôi, ngày {}", world.day),
    };
    world.write(at, None, &[id], command).await.map(drop)
}

fn report_ref(task: Uuid, unit: Option<String>) -> ReportRef {
    ReportRef {
        task: task.to_string(),
        unit,
        period: None,
    }
}

fn values(world: &World, rng: &mut StdRng) -> ReportFields {
    let mut fields = ReportFields {
        percent: Some(rng.random_range(0..100).to_string()),
        ..ReportFields::default()
    };
    let text = format!("ngày {} việc {}", world.day, rng.random_range(0..1000));
    match rng.random_range(0..5) {
        0 => fields.result = Some(text),
        1 => fields.difficulties = Some(text),
        2 => fields.next_steps = Some(text),
        3 => {
            fields.status = Some("completed".to_owned());
            fields.percent = Some("100".to_owned());
        }
        _ => fields.status = Some("in_progress".to_owned()),
    }
    fields
}

async fn report(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let task = *pick(rng, &tasks_for(world, at))?;
    let report = report_ref(task, None);
    if rng.random_bool(0.08) {
        let reason = format!("nhầm, ngày {}", world.day);
        let command = Command::ReportWithdraw { report, reason };
        return world.write(at, None, &[], command).await.map(drop);
    }
    set(world, at, None, task, report, rng).await
}

/// The unit above writes into the report of a unit below, at the same time perhaps as the unit itself.
async fn report_for_another(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let other = *pick(rng, &below(world, at))?;
    let task = *pick(rng, &tasks_for(world, other))?;
    let code = world.places[other].code.clone();
    let report = report_ref(task, Some(code.clone()));
    set(world, at, Some(code), task, report, rng).await
}

async fn set(
    world: &mut World,
    at: usize,
    acting_for: Option<String>,
    task: Uuid,
    report: ReportRef,
    rng: &mut StdRng,
) -> Done {
    // A form that was opened before others wrote, sometimes.
    let form = world.forms.get(&(at, task)).cloned();
    let token = form.filter(|_| rng.random_bool(0.3));
    let command = Command::ReportSet {
        report,
        fields: values(world, rng),
        token,
        submit: rng.random_bool(0.4),
    };
    let data = world.write(at, acting_for, &[], command).await?;
    if let Some(token) = data["token"].as_str().filter(|_| rng.random_bool(0.5)) {
        world.forms.insert((at, task), token.to_owned());
    }
    Ok(())
}

async fn propose(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let task = *pick(rng, &tasks_for(world, at))?;
    let command = Command::ProposalMake {
        task: task.to_string(),
        field: ["kpi", "deliverable"][rng.random_range(0..2)].to_owned(),
        value: format!("đề nghị {}", rng.random_range(0..1000)),
        reason: "khó".to_owned(),
    };
    let data = world.write(at, None, &[], command).await?;
    let owner = world
        .tasks
        .iter()
        .find(|known| known.id == task)
        .map(|known| known.issuer);
    if let (Some(id), Some(owner)) = (data["id"].as_str(), owner) {
        world.proposals.push((id.to_owned(), owner));
    }
    Ok(())
}

async fn decide(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let open: Vec<String> = world
        .proposals
        .iter()
        .filter(|(_, owner)| *owner == at)
        .map(|(id, _)| id.clone())
        .collect();
    let proposal = pick(rng, &open)?.clone();
    let accept = rng.random_bool(0.6);
    // Accepting writes into the task as well, even into one that is over.
    let tasks = world.tasks.iter().filter(|task| task.issuer == at);
    let targets: Vec<Uuid> = tasks.map(|task| task.id).collect();
    let command = Command::ProposalDecide {
        proposal: proposal.clone(),
        accept,
        reason: Some("đã xem".to_owned()),
        token: None,
    };
    let done = world.write(at, None, &targets, command).await;
    if done.is_ok() {
        world.proposals.retain(|(id, _)| *id != proposal);
    }
    done.map(drop)
}

/// Whoever has two values before them decides for the first.
async fn settle(world: &mut World, at: usize) -> Done {
    let list = world
        .ask(at, None, Command::ConflictList)
        .await
        .map_err(|failure| failure.code)?;
    let items = list.data["items"].as_array().cloned().unwrap_or_default();
    let mut conflicts: Vec<(String, Uuid)> = Vec::new();
    for item in &items {
        let (Some(conflict), Some(record)) = (
            item["conflict"].as_str().or(item["id"].as_str()),
            item["record"]
                .as_str()
                .and_then(|id| Uuid::parse_str(id).ok()),
        ) else {
            return Err(format!("a conflict without a name: {item}"));
        };
        conflicts.push((conflict.to_owned(), record));
    }
    let mut settled = 0;
    for (conflict, record) in conflicts {
        let command = Command::ConflictResolve {
            conflict,
            take: Some(1),
            value: None,
            reason: Some("đã xem".to_owned()),
            token: None,
        };
        // A conflict in somebody else's record is theirs to settle.
        let done = world.write(at, None, &[record], command).await;
        settled += usize::from(done.is_ok());
    }
    world.step(format_args!("{at} settled {settled}"));
    Ok(())
}

async fn prove(world: &mut World, at: usize, rng: &mut StdRng) -> Done {
    let task = *pick(rng, &tasks_for(world, at))?;
    let path = world.file();
    let command = Command::EvidenceAdd {
        report: report_ref(task, None),
        path,
        note: None,
    };
    world.write(at, None, &[], command).await.map(drop)
}
