//! Children of which two machines have shown themselves: what each shows, and which one goes on.

use serde_json::{Value, json};

use super::shared::time;
use super::{Reading, Said, Writing, nodes};
use crate::node::{Refusal, branches as standing};
use crate::store::branches::{self, Branch, State};
use crate::store::{LinkId, StoreError, audit, links};

/// `node clones`: children with more than a plain restore behind them.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let all = branches::all(on.connection)?;
    let mut items = Vec::new();
    for row in links::rows(on.connection)? {
        let of: Vec<&Branch> = all.iter().filter(|b| b.link == row.link).collect();
        if of.iter().all(|branch| branch.state == State::Superseded) {
            continue;
        }
        let waits = of.iter().any(|branch| branch.state == State::Clone);
        items.push(json!({
            "node": row.node,
            "unit": nodes::peer_code(on.connection, &on.tree, row.link)?,
            "state": if waits { "held" } else { "decided" },
            "machines": of.iter().map(|branch| shown(branch)).collect::<Vec<_>>(),
        }));
    }
    let said = Said::done(json!({ "total": items.len(), "items": items }));
    Ok(match items.iter().any(|item| item["state"] == "held") {
        true => said.note("note-clones-held", []),
        false => said,
    })
}

/// The branches of one child, for `node show`.
pub fn of(on: &Reading<'_>, link: Option<LinkId>) -> Result<Value, StoreError> {
    let Some(link) = link else {
        return Ok(json!([]));
    };
    let known = branches::of(on.connection, link)?;
    Ok(known.iter().map(shown).collect())
}

fn shown(branch: &Branch) -> Value {
    json!({
        "incarnation": branch.incarnation,
        "head": branch.head,
        "state": branch.state.as_str(),
        "seen_at": time(branch.seen_at),
    })
}

/// `node adopt`: one machine goes on, the others are refused.
pub fn adopt(on: &mut Writing<'_, '_>, typed: &str, incarnation: &str) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let row = nodes::find(on.tx.connection(), &tree, typed)?;
    let unit = tree.code(row.unit);
    let link = links::find(on.tx.connection(), row.node)?;
    let known = match link {
        Some(link) => branches::of(on.tx.connection(), link)?,
        None => Vec::new(),
    };
    let wanted = incarnation.trim();
    let fits = |name: String| wanted.len() >= 4 && name.starts_with(wanted);
    let found: Vec<&Branch> = known
        .iter()
        .filter(|b| fits(b.incarnation.to_string()) || fits(b.head.to_string()))
        .collect();
    let [chosen] = found[..] else {
        let names: Vec<String> = known.iter().map(|b| b.incarnation.to_string()).collect();
        let args = [
            ("unit", unit),
            ("incarnation", wanted.to_owned()),
            ("known", names.join(", ")),
        ];
        return Err(Refusal::usage("no-such-incarnation", args));
    };
    standing::choose(on.tx, &known, chosen)?;
    let person = on.request.person.clone();
    let act = audit::Act {
        at: on.now_ms,
        actor: &person,
        act: "node.adopted",
        subject: &row.node.to_string(),
        detail: json!({ "incarnation": chosen.incarnation }),
    };
    audit::append(on.tx, &act)?;
    let data = json!({ "id": row.node, "unit": unit, "incarnation": chosen.incarnation });
    Ok(Said::done(data).note("note-node-adopted", [("unit", unit)]))
}
