//! Coming back from nothing: a new machine that enrolled for the unit of a lost one gets the backup that the lost one deposited,
//! and goes on with it under its own new name and key.
//!
//! The new name is given to the restored store before it takes the place of the empty one, so that a cut leaves one of the two.

use std::path::{Path, PathBuf};

use nqsync_core::model::{Kind, NodeId};
use nqsync_core::protocol::deposit::{Deposited, Head};
use nqsync_core::protocol::render_record;
use rusqlite::Connection;

use super::keys::Line;
use super::{DaemonError, setup};
use crate::clock::Clock;
use crate::config::Config;
use crate::link::{LinkError, Upstream};
use crate::node::bundle::UPSTREAM_KEY;
use crate::node::parents::UPSTREAM_CHAIN;
use crate::node::sealed::{self, SealedError};
use crate::node::{Node, deposit, receive, recovery};
use crate::store::links::{self, Role};
use crate::store::{Store, StoreError, StoreOptions, audit, backup, queries, records};
use crate::trust::files::{self, Existing, FileError, Secrecy};
use crate::trust::identity::{NODE_KEY, NodeKey};
use crate::trust::pin::Pin;
use crate::trust::renewal::{self, UPSTREAM_CERTIFICATE};
use crate::trust::tls::ClientTimeouts;

/// Where a fetched deposit is put together; what a cut left there is used again.
const FETCHED: &str = "fetched-deposit";

/// Facts of the store that belong to who this node is, and where its parent is.
const IDENTITY: [&str; 7] = [
    "node",
    "unit",
    "upstream_url",
    "upstream_pin",
    "upstream_node",
    UPSTREAM_KEY,
    UPSTREAM_CHAIN,
];

/// Why there is no deposit to restore. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ComebackError {
    /// This node has not enrolled.
    #[error("this node has not enrolled")]
    NotEnrolled,
    /// Something was written here that nobody else has.
    #[error("{0} records are only here")]
    Unsent(u64),
    /// The parent holds nothing for this unit, or not of the node that was named.
    #[error("the parent holds no deposit")]
    None(Vec<Deposited>),
    /// The line, or the parent.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The key, or what was fetched.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Everything local.
    #[error(transparent)]
    Local(#[from] DaemonError),
}

impl From<StoreError> for ComebackError {
    fn from(error: StoreError) -> Self {
        ComebackError::Local(error.into())
    }
}

/// A deposit that was fetched, and who fetched it.
pub struct Fetched {
    /// The sealed backup.
    pub folder: PathBuf,
    /// What the parent says of it.
    pub deposit: Deposited,
    /// Pieces that the parent does not have any more as they were.
    pub lost: usize,
    identity: Vec<(&'static str, String)>,
    units: Vec<String>,
}

/// Which deposit is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of this node; otherwise the newest of another node than this one, else its own.
    pub of: Option<NodeId>,
    /// Also where something was written here that nobody else has.
    pub replace: bool,
}

/// Fetches a deposit of this node's unit. The key is tried on its head first.
pub async fn fetch(
    config: &Config,
    clock: &Clock,
    key: &NodeKey,
    wanted: Wanted,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Fetched, ComebackError> {
    let dir = config.node.data_dir.clone();
    let store = Store::open(&setup::store_options(config))?;
    let node = Node {
        store: store.clone(),
        clock: clock.clone(),
        settings: setup::limits(config),
    };
    let fetched = fetch_open(&node, &dir, key, wanted, progress).await;
    store.close();
    fetched
}

async fn fetch_open(
    node: &Node,
    dir: &Path,
    key: &NodeKey,
    wanted: Wanted,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Fetched, ComebackError> {
    let (identity, units) = node.store.read(who_we_are).await?;
    let fact = |key: &str| identity.iter().find(|(name, _)| *name == key);
    let fact = |key: &str| fact(key).map(|(_, value)| value.clone());
    let pin: Option<Pin> = fact("upstream_pin").and_then(|text| text.parse().ok());
    let id = |key: &str| fact(key).and_then(|text| text.parse::<NodeId>().ok());
    let (Some(url), Some(pin), Some(parent), Some(own)) =
        (fact("upstream_url"), pin, id("upstream_node"), id("node"))
    else {
        return Err(ComebackError::NotEnrolled);
    };
    let link = node
        .store
        .write(move |tx| links::ensure(tx.connection(), parent, Role::Upstream))
        .await?;
    let unsent = node
        .store
        .read(move |c| links::only_here(c, Some(link)))
        .await?;
    if unsent > 0 && !wanted.replace {
        return Err(ComebackError::Unsent(unsent));
    }
    let line = Line::open(
        dir.to_owned(),
        pin,
        node.clock.clone(),
        ClientTimeouts::default(),
    )?;
    let line = line.ok_or(ComebackError::NotEnrolled)?;
    let upstream = Upstream::new(node.clone(), url, line, link);
    let held = upstream.deposits().await?.unwrap_or_default();
    let found = match wanted.of {
        Some(of) => held.iter().find(|deposit| deposit.node == of),
        None => {
            let other = held.iter().find(|deposit| deposit.node != own);
            other.or(held.first())
        }
    };
    let Some(deposit) = found.cloned() else {
        return Err(ComebackError::None(held));
    };
    let bytes = upstream.deposited_head(deposit.node).await?;
    let folder = dir.join(FETCHED);
    let damaged = || SealedError::Damaged {
        path: upstream.url().to_owned(),
        what: "the head of the deposit was changed or cut".to_owned(),
    };
    let head = Head::parse(&bytes).ok_or_else(damaged)?;
    let (wanted_key, given) = (Pin::from_bytes(head.key), key.pin());
    if wanted_key != given {
        return Err(SealedError::OtherKey {
            path: upstream.url().to_owned(),
            wanted: wanted_key.to_string(),
            given: given.to_string(),
        }
        .into());
    }
    backup::private_folder(&folder)?;
    let lost = upstream
        .fetch_deposit(deposit.node, &head, &folder, progress)
        .await?;
    sealed::put_head(&folder, &bytes)?;
    Ok(Fetched {
        folder,
        deposit,
        lost,
        identity,
        units,
    })
}

/// Removes what was fetched and is not needed any more.
pub fn forget_fetched(dir: &Path) -> Result<(), StoreError> {
    let folder = dir.join(FETCHED);
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(&folder).map_err(backup::io(format!("remove {}", folder.display())))
}

type Ourselves = (Vec<(&'static str, String)>, Vec<String>);

/// Who this node is, and the units as its parent knows them.
fn who_we_are(connection: &Connection) -> Result<Ourselves, StoreError> {
    let mut identity = Vec::new();
    for key in IDENTITY {
        if let Some(value) = queries::meta(connection, key)? {
            identity.push((key, value));
        }
    }
    let units = records::of_kind(connection, Kind::Unit)?;
    let units = units.iter().map(|stored| render_record(&stored.record));
    Ok((identity, units.collect()))
}

/// Gives a restored store in `staged`, which is not in its place yet, the name and the key of the node in `dir`.
pub fn settle(
    config: &Config,
    clock: &Clock,
    fetched: &Fetched,
    staged: &Path,
    person: &str,
) -> Result<(), StoreError> {
    let options = StoreOptions {
        dir: staged.to_owned(),
        ..setup::store_options(config)
    };
    let store = Store::open(&options)?;
    let done = rename(&store, config, clock, fetched, person);
    store.close();
    let old = done?;
    take_keys(&config.node.data_dir, staged, old).map_err(|error| StoreError::Io {
        what: "put the keys of this node in place".to_owned(),
        source: std::io::Error::other(error),
    })
}

/// Answers the name that the store had, when it was another one.
fn rename(
    store: &Store,
    config: &Config,
    clock: &Clock,
    fetched: &Fetched,
    person: &str,
) -> Result<Option<NodeId>, StoreError> {
    let node = Node {
        store: store.clone(),
        clock: clock.clone(),
        settings: setup::limits(config),
    };
    let old = store.shown().node;
    let (identity, lines) = (fetched.identity.clone(), fetched.units.clone());
    let (deposit, person) = (fetched.deposit.clone(), person.to_owned());
    store.write_blocking(move |tx| {
        let fact = |key: &str| identity.iter().find(|(name, _)| *name == key);
        let id = |key: &str| fact(key).and_then(|(_, text)| text.parse::<NodeId>().ok());
        let (Some(parent), Some(own)) = (id("upstream_node"), id("node")) else {
            return Err(StoreError::Damaged("this node has no parent".to_owned()));
        };
        let link = links::ensure(tx.connection(), parent, Role::Upstream)?;
        // The units first: in them the lost node is one that served the unit before, so that what it had not sent is still
        // to be sent when the scope is drawn anew.
        let lines = lines.iter().map(|line| receive::line(line)).collect();
        receive::apply(&node, tx, link, lines, 0)?;
        for (key, value) in &identity {
            tx.set_meta(key, value)?;
        }
        tx.tree_has_changed();
        tx.settle_tree()?;
        recovery::is_here(tx, &node.settings.machine_id_file)?;
        if old == Some(own) {
            let number = audit::last_number(tx.connection())?;
            deposit::note_known(tx, &deposit.id, deposit.at, number)?;
        } else {
            // The parent knows nothing yet of this node: there is nothing to take leave of.
            links::begin_first(tx.connection(), link)?;
            deposit::forget(tx)?;
        }
        let act = audit::Act {
            at: node.clock.now_ms(),
            actor: &person,
            act: "store.came_back",
            subject: &deposit.node.to_string(),
            detail: serde_json::json!({ "deposited_at": deposit.at }),
        };
        audit::append(tx, &act)?;
        Ok(old.filter(|old| *old != own))
    })
}

/// The key of this node takes the place of the lost node's, which is kept aside; what else the lost node held, such as the
/// authority that its children pinned, stays.
fn take_keys(dir: &Path, staged: &Path, old: Option<NodeId>) -> Result<(), FileError> {
    let Some(old) = old else { return Ok(()) };
    let lost = staged.join(NODE_KEY);
    if lost.exists() {
        let key = files::read_private(&lost)?;
        let aside = staged.join(format!("keys/node-{old}.key"));
        files::write(&aside, &key, Secrecy::Private, Existing::Replace)?;
    }
    renewal::forget_others(staged)?;
    let key = files::read_private(&dir.join(NODE_KEY))?;
    files::write(&lost, &key, Secrecy::Private, Existing::Replace)?;
    let certificate = files::read_public(&dir.join(UPSTREAM_CERTIFICATE))?;
    let to = staged.join(UPSTREAM_CERTIFICATE);
    files::write(&to, &certificate, Secrecy::Public, Existing::Replace)
}
