//! Two stores with one identity: noticed when a superseded opening of a child's store shows itself again.
//!
//! One successor beside another is a restore as long as the other one is never seen again. When it is, there are two
//! live machines with one key: both are kept from exchanging until a person says which one goes on. Both go on working
//! for themselves meanwhile.

use nqsync_core::protocol::Refused;
use nqsync_core::sync::Incarnation;

use super::Node;
use crate::store::branches::{self, Branch, State};
use crate::store::{LinkId, StoreError, Tx, audit, links};

/// What a chain means for the session that is to begin.
#[derive(Debug)]
pub enum Verdict {
    /// It begins.
    Pass,
    /// It does not; what was noted stands all the same.
    Refuse(Refused),
    /// It would change how the child stands, and may be an old greeting that comes late: ask again.
    Unsure,
}

/// Judges the chain that a child shows at the beginning of a session, newest first, and notes what it teaches. `sure`: the
/// greeting answers to something we said last, so that it cannot be a late one.
pub fn judge(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    chain: &[Incarnation],
    sure: bool,
) -> Result<Verdict, StoreError> {
    let Some(newest) = chain.first().copied() else {
        return Ok(Verdict::Pass);
    };
    let known = branches::of(tx.connection(), link)?;
    let head = links::row(tx.connection(), link)?.peer_head;
    let seen = |incarnation, head, state| Branch {
        link,
        incarnation,
        head,
        state,
        seen_at: node.clock.now_ms(),
    };
    // The branch that this chain went through last; the opening that goes on counts as chosen.
    let going_on = head.map(|head| seen(head, head, State::Chosen));
    let through = known
        .iter()
        .chain(going_on.as_ref())
        .filter_map(|branch| {
            let depth = chain.iter().position(|i| *i == branch.incarnation)?;
            Some((depth, branch))
        })
        .min_by_key(|(depth, _)| *depth)
        .map(|(_, branch)| branch);
    if known.iter().any(|branch| branch.state == State::Clone) {
        // A side that is known is seen again; one that is not is one side more.
        let side = match through {
            Some(branch) => branch.incarnation,
            None if sure => newest,
            None => return Ok(Verdict::Unsure),
        };
        branches::put(tx.connection(), &seen(side, newest, State::Clone))?;
        return Ok(Verdict::Refuse(cloned()));
    }
    let chosen = known.iter().any(|branch| branch.state == State::Chosen);
    match through.map(|branch| (branch.incarnation, branch.state)) {
        Some((side, State::Refused)) => {
            branches::put(tx.connection(), &seen(side, newest, State::Refused))?;
            Ok(Verdict::Refuse(not_chosen(newest)))
        }
        Some((_, State::Superseded)) if !sure => Ok(Verdict::Unsure),
        Some((side, State::Superseded)) => {
            branches::put(tx.connection(), &seen(side, newest, State::Clone))?;
            if let Some(other) = head {
                branches::put(tx.connection(), &seen(other, other, State::Clone))?;
            }
            tx.tree_has_changed();
            alarm(tx, link, node.clock.now_ms())?;
            Ok(Verdict::Refuse(cloned()))
        }
        None if head.is_some() && !sure => Ok(Verdict::Unsure),
        // A person chose another machine: this one is not let in as if it had been restored.
        None if chosen => {
            branches::put(tx.connection(), &seen(newest, newest, State::Refused))?;
            Ok(Verdict::Refuse(not_chosen(newest)))
        }
        _ => {
            if let Some(old) = head.filter(|head| !chain.contains(head)) {
                if !sure {
                    return Ok(Verdict::Unsure);
                }
                branches::put(tx.connection(), &seen(old, old, State::Superseded))?;
            }
            Ok(Verdict::Pass)
        }
    }
}

/// Lets one of the machines go on. The others are refused from now on.
pub fn choose(tx: &mut Tx<'_>, known: &[Branch], chosen: &Branch) -> Result<(), StoreError> {
    for branch in known
        .iter()
        .filter(|branch| branch.state != State::Superseded)
    {
        let refused = Branch {
            state: State::Refused,
            ..branch.clone()
        };
        branches::put(tx.connection(), &refused)?;
    }
    let goes_on = Branch {
        state: State::Chosen,
        ..chosen.clone()
    };
    branches::put(tx.connection(), &goes_on)?;
    branches::begin_anew(tx.connection(), chosen.link, chosen.head)?;
    tx.tree_has_changed();
    Ok(())
}

fn alarm(tx: &mut Tx<'_>, link: LinkId, at: i64) -> Result<(), StoreError> {
    tracing::error!(
        link = link.0,
        "two machines use the identity of one child; both are held until a person chooses"
    );
    let act = audit::Act {
        at,
        actor: "nqsync",
        act: "node.cloned",
        subject: &link.0.to_string(),
        detail: serde_json::json!({}),
    };
    audit::append(tx, &act)
}

/// The code that both sides of a clone hear.
pub const CLONED: &str = "cloned";

/// What both sides of a clone hear.
pub fn cloned() -> Refused {
    Refused::new(
        CLONED,
        "two machines use this node's identity, so both are held. Work goes on here and nothing is lost. The \
         administrator of the level above chooses one with `nqsync node adopt`; the other one then enrols anew with \
         `nqsync adopt --new`",
    )
}

fn not_chosen(newest: Incarnation) -> Refused {
    let message = format!(
        "another machine goes on under this node's identity (this one shows {newest}). Work goes on here and nothing \
         is lost: run `nqsync adopt --new --token TOKEN` here; or, if this is the right machine after all, the \
         administrator of the level above chooses it with `nqsync node adopt`"
    );
    Refused::new("not_chosen", message)
}
