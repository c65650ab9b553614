//! Setting a node up: `init` makes its directory, `enrol` makes it a child.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nqsync_core::calendar::{Duty, Reminders};
use nqsync_core::model::values::{OrgLevel, ParentSince};
use nqsync_core::model::{Classification, NodeId, UnitId};
use nqsync_core::protocol::{EnrolRequest, Enrolled, PREFIX, Refused};
use nqsync_core::sync::brake::Limits;
use serde_json::json;
use uuid::Uuid;

use super::{DaemonError, listener};
use crate::clock::Clock;
use crate::config::{Config, Loaded, UpstreamKind};
use crate::node::bundle::UPSTREAM_KEY;
use crate::node::parents::UPSTREAM_CHAIN;
use crate::node::{Node, Settings, enrolment, receive};
use crate::store::links::{self, Role};
use crate::store::{LEVEL_KEY, Store, StoreError, StoreOptions, Tx};
pub use crate::trust::identity::NODE_KEY;
use crate::trust::identity::{NodeKey, new_node_id};
pub use crate::trust::renewal::UPSTREAM_CERTIFICATE;
use crate::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning, pin_mismatch};
use crate::trust::{files, renewal, token};

/// Store options that a configuration asks for.
pub fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        readers: config.store.readers,
        group_commit_max: config.store.group_commit_max,
        wal_checkpoint_pages: config.store.wal_checkpoint_pages,
        opened_at: Timestamp::from_millisecond(Clock::system().now_ms())
            .unwrap_or_default()
            .to_string(),
        level: config.node.classification,
        ..StoreOptions::new(&config.node.data_dir)
    }
}

/// Settings of the use cases that a configuration asks for; adapters have their profiles beside its file.
pub fn settings(loaded: &Loaded) -> Settings {
    let beside = loaded.file.parent().unwrap_or_else(|| Path::new("."));
    Settings {
        adapters_dir: beside.join("adapters.d"),
        notify_file: Some(beside.join("notify.toml")),
        scoring_file: Some(beside.join("scoring.toml")),
        config_file: Some(loaded.file.clone()),
        parse_socket: parse_socket(&loaded.config).map(Path::to_owned),
        // Without it only what needs a process of its own fails, and says so.
        program: std::env::current_exe().unwrap_or_default(),
        ..limits(&loaded.config)
    }
}

/// The socket of the service that reads tables from outside.
pub fn parse_socket(config: &Config) -> Option<&Path> {
    config.parse.as_ref().map(|parse| parse.socket.as_path())
}

/// The regimes in force; each was read when the configuration was checked.
fn duties(config: &Config) -> Vec<Duty> {
    let zone = &config.node.time_zone;
    if config.reporting.regimes.is_empty() {
        return Duty::usual(config.reporting.period, zone)
            .into_iter()
            .collect();
    }
    let texts = config.reporting.regimes.iter();
    texts
        .filter_map(|text| Duty::parse(text, zone).ok())
        .collect()
}

pub(super) fn limits(config: &Config) -> Settings {
    Settings {
        service: false,
        ceiling: config.node.ceiling,
        approval_acts: config.approval.acts.iter().copied().collect(),
        approval_lasts_ms: config.approval.lasts_s.0.as_millis() as i64,
        carried: config
            .upstream
            .as_ref()
            .is_some_and(|upstream| upstream.kind == UpstreamKind::Bundle),
        zone: config.node.time_zone.clone(),
        period: config.reporting.period,
        duties: duties(config),
        reminders: Reminders {
            before: config.reporting.remind_before_days.clone(),
            after: config.reporting.remind_after_days.clone(),
        },
        max_blob_bytes: config.sync.max_blob_bytes.bytes(),
        max_record_bytes: config.sync.max_record_bytes.bytes() as usize,
        batch_records: config.sync.batch_records,
        batch_bytes: config.sync.batch_bytes.bytes() as usize,
        max_batch_bytes: config.sync.max_batch_bytes.bytes() as usize,
        file_piece_bytes: config.sync.blob_chunk_bytes.bytes() as usize,
        bandwidth_bytes_per_s: config.sync.bandwidth_bytes_per_s.bytes(),
        deposit_interval_ms: Duration::from(config.deposit.interval_s).as_millis() as i64,
        deposit_quota_bytes: config.deposit.quota_bytes.bytes(),
        min_free_bytes: config.store.min_free_bytes.bytes(),
        brake: Limits {
            at_least: config.brake.at_least,
            removed_percent: config.brake.removed_percent,
            overwritten_percent: config.brake.overwritten_percent,
        },
        machine_id_file: config.node.machine_id_file.clone(),
        brake_window_ms: config.brake.window_s.0.as_millis() as i64,
        ..Settings::default()
    }
}

/// A clock as the trust layer wants it.
pub fn trust_clock(clock: &Clock) -> crate::trust::tls::Clock {
    let clock = clock.clone();
    Arc::new(move || Timestamp::from_millisecond(clock.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH))
}

pub(super) fn trust(error: impl std::fmt::Display) -> DaemonError {
    DaemonError::Trust(error.to_string())
}

/// Makes the store and the keys of a new node. The topmost node creates its own unit; every other one gets its unit
/// when it enrols.
pub fn init(config: &Config, clock: &Clock, name: Option<&str>) -> Result<NodeId, DaemonError> {
    init_as(config, clock, name, None)
}

/// The same under an id that is known already: the store of a level of secrecy is of the node that it belongs to, and gets its
/// units from below.
pub fn init_as(
    config: &Config,
    clock: &Clock,
    name: Option<&str>,
    known: Option<NodeId>,
) -> Result<NodeId, DaemonError> {
    let level = config.node.classification;
    let dir = &config.node.data_dir;
    let keys = dir.join("keys");
    files::make_private_folder(&keys).map_err(|source| StoreError::Io {
        what: format!("create {}", keys.display()),
        source,
    })?;
    let options = StoreOptions {
        create: true,
        ..store_options(config)
    };
    let store = Store::open(&options)?;
    let now_ms = clock.now_ms();
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    if let Some(node) = store.shown().node {
        store.close();
        return Ok(node);
    }
    let node = known.unwrap_or_else(|| new_node_id(&mut rand::rng(), now));
    let key = dir.join(NODE_KEY);
    if !key.exists() {
        NodeKey::create(&key).map_err(trust)?;
    }
    // Those below enrol by file: nobody listens for them.
    let has_children = known.is_some() && config.node.level != crate::config::Level::Commune;
    let ca_pin = match has_children {
        true => Some(listener::authority(dir, node, clock)?.pin().to_string()),
        false => None,
    };
    let (code, root) = (
        config.node.unit.clone(),
        config.node.level == crate::config::Level::Ministry && known.is_none(),
    );
    let name = name.unwrap_or(&code).to_owned();
    store.write_blocking(move |tx| {
        tx.set_meta("node", &node.to_string())?;
        tx.set_meta("unit_code", &code)?;
        if level > Classification::None {
            tx.set_meta(LEVEL_KEY, level.word())?;
        }
        if let Some(pin) = &ca_pin {
            tx.set_meta("ca_pin", pin)?;
        }
        tx.draw_seal()?;
        if root {
            create_root(tx, &code, &name, node, now_ms)?;
        }
        Ok::<_, StoreError>(())
    })?;
    store.close();
    Ok(node)
}

fn create_root(
    tx: &mut Tx<'_>,
    code: &str,
    name: &str,
    node: NodeId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let unit = UnitId(Uuid::new_v5(&node.0, b"root unit"));
    tx.set_meta("unit", &unit.to_string())?;
    let values = BTreeMap::from([
        ("code".to_owned(), json!(code)),
        ("name".to_owned(), json!(name)),
        ("level".to_owned(), json!(OrgLevel::Ministry)),
        (
            "parent".to_owned(),
            json!([ParentSince {
                from: None,
                unit: None
            }]),
        ),
        ("served_by".to_owned(), json!(node)),
    ]);
    enrolment::root_unit(tx, unit, values, now_ms)
}

/// Why enrolling failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] token::TokenTextError),
    /// The token is for another unit than this node was set up for.
    #[error(
        "the token is for unit {token}, this node was set up for {node}; ask for a token for {node}, or run init again"
    )]
    OtherUnit {
        /// Unit in the token.
        token: String,
        /// Unit of this node.
        node: String,
    },
    /// Neither the command, the configuration nor the token says where the parent is.
    #[error("say where the parent is with --upstream https://host:port; this token does not")]
    NoUrl,
    /// No connection.
    #[error("cannot reach {url}: {detail}")]
    Unreachable {
        /// The parent's address.
        url: String,
        /// What the network said.
        detail: String,
    },
    /// What answers is not the parent the token names.
    #[error("what answers at {url} is not the parent of this token; nothing was sent. {detail}")]
    Impostor {
        /// The parent's address.
        url: String,
        /// Both fingerprints.
        detail: String,
    },
    /// The parent refuses.
    #[error("the parent refuses: {0}")]
    Refused(String),
    /// A file that is no answer of the parent to this node.
    #[error("the answer cannot be taken: {0}")]
    Answer(String),
    /// Everything local.
    #[error(transparent)]
    Local(#[from] DaemonError),
}

/// Turns a token into a certificate and makes this node a child. The parent is where `url` says, else the
/// configuration, else the token.
pub async fn enrol(
    config: &Config,
    clock: &Clock,
    url: Option<&str>,
    text: &str,
) -> Result<(NodeId, String), EnrolError> {
    let token = token_for(config, text)?;
    let url = parent_url(config, url, token.url.as_deref())?;
    let dir = config.node.data_dir.clone();
    let store = Store::open(&store_options(config)).map_err(DaemonError::from)?;
    let node = store
        .shown()
        .node
        .ok_or_else(|| DaemonError::from(StoreError::NotInitialised(dir.display().to_string())))?;
    let key = NodeKey::load(&dir.join(NODE_KEY)).map_err(trust)?;
    let request = EnrolRequest {
        secret: token.secret.reveal(),
        node,
        csr: key.csr_pem().map_err(trust)?,
    };
    let answer = ask(&url, token.parent, clock, &request).await?;
    enrolled(config, clock, store, &token, &url, answer).await
}

/// Reads a token, which has to be for the unit of this node.
pub(super) fn token_for(config: &Config, text: &str) -> Result<token::Token, EnrolError> {
    let token = token::parse(text)?;
    match token.unit == config.node.unit {
        true => Ok(token),
        false => Err(EnrolError::OtherUnit {
            token: token.unit,
            node: config.node.unit.clone(),
        }),
    }
}

/// Keeps what the parent answered, and closes the store.
pub(super) async fn enrolled(
    config: &Config,
    clock: &Clock,
    store: Store,
    token: &token::Token,
    url: &str,
    enrolled: Enrolled,
) -> Result<(NodeId, String), EnrolError> {
    let dir = config.node.data_dir.clone();
    let certificate = enrolled.certificate.clone();
    renewal::forget_others(&dir).map_err(trust)?;
    files::write(
        &dir.join(UPSTREAM_CERTIFICATE),
        certificate.as_bytes(),
        files::Secrecy::Public,
        files::Existing::Replace,
    )
    .map_err(trust)?;
    let handle = Node {
        store: store.clone(),
        clock: clock.clone(),
        settings: limits(config),
    };
    let (parent, address) = (enrolled.parent, url.to_owned());
    let pin = token.parent.to_string();
    store
        .write(move |tx| join(&handle, tx, enrolled, &address, &pin))
        .await
        .map_err(DaemonError::from)?;
    store.close();
    Ok((parent, url.to_owned()))
}

/// Where the parent is: as said, else as configured, else as the token says.
pub(super) fn parent_url(
    config: &Config,
    said: Option<&str>,
    token: Option<&str>,
) -> Result<String, EnrolError> {
    let configured = config.upstream.as_ref().map(|u| u.url.as_str());
    let url = said.or(configured).or(token).ok_or(EnrolError::NoUrl)?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// Keeps what the parent answered to an enrolment: who it is, where it is, which unit we serve, and the tree.
pub fn join(
    node: &Node,
    tx: &mut Tx<'_>,
    enrolled: Enrolled,
    url: &str,
    pin: &str,
) -> Result<(), StoreError> {
    tx.set_meta("unit", &enrolled.unit.to_string())?;
    tx.set_meta("upstream_url", url)?;
    tx.set_meta("upstream_pin", pin)?;
    // Another parent's former authorities are nobody's here.
    tx.set_meta(UPSTREAM_CHAIN, "")?;
    tx.set_meta(
        UPSTREAM_KEY,
        enrolled.authority.as_deref().unwrap_or_default(),
    )?;
    tx.set_meta("upstream_node", &enrolled.parent.to_string())?;
    let link = links::ensure(tx.connection(), enrolled.parent, Role::Upstream)?;
    tx.tree_has_changed();
    tx.settle_tree()?;
    let lines = enrolled
        .units
        .iter()
        .map(|line| receive::line(line.get()))
        .collect();
    receive::apply(node, tx, link, lines, 0)?;
    Ok(())
}

pub(super) async fn ask(
    url: &str,
    pin: crate::trust::pin::Pin,
    clock: &Clock,
    request: &EnrolRequest,
) -> Result<Enrolled, EnrolError> {
    let tls = ClientTls::new(
        None,
        ParentPin(pin),
        trust_clock(clock),
        Arc::new(log_date_warning),
    );
    let client = tls
        .and_then(|tls| tls.http_client(&ClientTimeouts::default()))
        .map_err(trust)?;
    let sent = client
        .post(format!("{url}{PREFIX}/enrol"))
        .json(request)
        .send()
        .await;
    let response = sent.map_err(|error| match pin_mismatch(&error) {
        Some(mismatch) => EnrolError::Impostor {
            url: url.to_owned(),
            detail: mismatch.to_string(),
        },
        None => EnrolError::Unreachable {
            url: url.to_owned(),
            detail: crate::link::upstream::chain_of(&error),
        },
    })?;
    let status = response.status();
    let body = response
        .bytes()
        .await
        .map_err(|e| EnrolError::Unreachable {
            url: url.to_owned(),
            detail: e.to_string(),
        })?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| EnrolError::Refused(e.to_string()));
    }
    let refused: Result<Refused, _> = serde_json::from_slice(&body);
    Err(EnrolError::Refused(
        refused
            .map(|r| r.message)
            .unwrap_or_else(|_| format!("HTTP status {status}")),
    ))
}
