//! `status`: the node's health on one screen.

use serde_json::Value;

use super::list::{col, num, section, tabled};
use super::node::clock;
use super::screen::{Screen, at, items, number, short_ids};
use crate::t;

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    let unit = t!(
        screen.lang,
        "status-unit",
        name = screen.plain(at(data, "unit.name")),
        code = screen.plain(at(data, "unit.code")),
        level = screen.word("word-level-", at(data, "level")),
    );
    let healthy = at(data, "healthy") == true;
    let health = screen.label(if healthy {
        "status-healthy"
    } else {
        "status-degraded"
    });
    let colour = if healthy { "\x1b[32m" } else { "\x1b[1;31m" };
    let mut text = format!("{unit}\n{colour}{health}\x1b[0m\n\n");
    text += &screen.facts(&[
        ("label-service", running(data, screen)),
        ("label-node", screen.plain(at(data, "node"))),
        ("label-version", screen.plain(at(data, "version"))),
        ("label-data-dir", screen.plain(at(data, "data_dir"))),
        ("label-console", screen.plain(at(data, "console"))),
        ("label-records", screen.plain(at(data, "records"))),
        ("label-upstream", upstream(at(data, "upstream"), screen)),
        ("label-receipts", receipts(at(data, "receipts"), screen)),
        ("label-evidence", blobs(at(data, "blobs"), screen)),
        ("label-conflicts", screen.plain(at(data, "conflicts"))),
        ("label-quarantined", set_aside(data).to_string()),
        ("label-held", screen.plain(at(at(data, "holds"), "records"))),
        ("label-late", late(data, screen)),
        (
            "label-warnings",
            super::warning::counts(at(data, "warnings"), screen),
        ),
        (
            "label-open-proposals",
            screen.plain(at(data, "proposals_open")),
        ),
        ("label-disk", disk(at(data, "disk"), screen)),
        ("label-backup", backup(at(data, "backup"), screen)),
    ]);
    text += &downstream(items(data, "downstream"), screen);
    text += &super::calendar::reminders(items(data, "reminders"), screen);
    text + &problems(items(data, "problems"), screen)
}

/// What came after a closing and waits for somebody to restate; nothing where nothing does.
fn late(data: &Value, screen: &Screen) -> String {
    match at(data, "late").as_u64() {
        None | Some(0) => String::new(),
        Some(_) => screen.plain(at(data, "late")),
    }
}

fn running(data: &Value, screen: &Screen) -> String {
    screen.label(if at(data, "running") == true {
        "status-running"
    } else {
        "status-stopped"
    })
}

/// The link above in a few lines: state, when it last worked, what waits, and why it does not work.
fn upstream(link: &Value, screen: &Screen) -> String {
    if link.is_null() {
        return screen.label("status-no-upstream");
    }
    let mut lines = vec![
        screen.plain(at(link, "url")),
        screen.word("word-link-", at(link, "state")),
    ];
    let mut time = |key: &str, path: &str| {
        let time = screen.time(at(link, path));
        if !time.is_empty() {
            lines.push(format!("{}: {time}", screen.label(key)));
        }
    };
    time("label-last-success", "last_success_at");
    if at(link, "state") != "ok" {
        time("label-last-attempt", "last_attempt_at");
        time("label-next-attempt", "next_attempt_at");
    }
    let error = screen.plain(at(link, "error"));
    if !error.is_empty() {
        lines.push(error);
    }
    let down = match at(link, "pending_down") {
        Value::Null => "?".to_owned(),
        known => screen.plain(known),
    };
    lines.push(t!(
        screen.lang,
        "status-pending",
        up = screen.plain(at(link, "pending_up")),
        down = down
    ));
    if number(link, "quarantined_up") > 0 {
        lines.push(t!(
            screen.lang,
            "status-quarantined-up",
            n = screen.plain(at(link, "quarantined_up"))
        ));
    }
    let offset = clock(at(link, "clock_offset_ms"), screen);
    if !offset.is_empty() {
        lines.push(format!("{}: {offset}", screen.label("label-clock")));
    }
    lines.join("\n")
}

fn receipts(receipts: &Value, screen: &Screen) -> String {
    if receipts.is_null() {
        return String::new();
    }
    let n = |name: &str| screen.plain(at(receipts, name));
    t!(
        screen.lang,
        "status-receipts",
        stored = n("stored"),
        accepted = n("accepted_upstream"),
        reached = n("reached_issuer"),
    )
}

fn blobs(blobs: &Value, screen: &Screen) -> String {
    if blobs.is_null() {
        return String::new();
    }
    let n = |name: &str| screen.plain(at(blobs, name));
    let size = screen.bytes(at(blobs, "bytes"));
    t!(
        screen.lang,
        "status-blobs",
        present = n("present"),
        size = size,
        pending = n("pending_up"),
        missing = n("missing"),
    )
}

fn disk(disk: &Value, screen: &Screen) -> String {
    if disk.is_null() {
        return String::new();
    }
    let [free, total] = ["free_bytes", "total_bytes"].map(|name| screen.bytes(at(disk, name)));
    t!(screen.lang, "status-disk", free = free, total = total)
}

/// Records set aside here and at neighbours.
fn set_aside(data: &Value) -> i64 {
    let counts = at(data, "quarantine");
    number(counts, "here") + number(counts, "at_peers")
}

fn backup(backup: &Value, screen: &Screen) -> String {
    screen.plain(at(backup, "note"))
}

fn downstream(nodes: &[Value], screen: &Screen) -> String {
    if nodes.is_empty() {
        return String::new();
    }
    let columns = [
        col("label-unit", |n, s| s.plain(at(n, "unit"))),
        col("label-state", |n, s| s.word("word-node-", at(n, "state"))),
        col("label-last-contact", |n, s| {
            s.time(at(n, "last_contact_at"))
        }),
        num("label-pending", |n, s| s.plain(at(n, "pending"))),
        num("label-quarantined", |n, s| s.plain(at(n, "quarantined"))),
        num("label-clock", |n, s| clock(at(n, "clock_offset_ms"), s)),
        col("label-version", |n, s| s.plain(at(n, "version"))),
    ];
    let refs = short_ids(nodes, "node");
    section(
        screen,
        "label-downstream",
        &tabled(nodes, screen, Some(refs), &columns),
    )
}

fn problems(problems: &[Value], screen: &Screen) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let columns = [
        col("label-since", |p, s| s.time(at(p, "since"))),
        col("label-problem", |p, s| s.plain(at(p, "message"))),
        col("label-error", |p, s| s.plain(at(p, "code"))),
    ];
    section(
        screen,
        "label-problems",
        &tabled(problems, screen, None, &columns),
    )
}
