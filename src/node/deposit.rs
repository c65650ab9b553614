//! The deposit of this node's sealed backup at its parent: what is known of it, when the next one is due, and what goes into it.
//!
//! Attachments that the parent has whole are left out: it gives them back. A store that was restored, moved or damaged deposits
//! nothing before that is settled, and never in the place of a deposit that it does not know: an old copy must not replace what
//! is newer.

use std::time::Duration;

use nqsync_core::protocol::hex;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::sealed::keys::Recovery;
use super::sealed::{self, Sealed, SealedError, Work};
use super::{Node, recovery};
use crate::store::backup::{self, Source};
use crate::store::{LinkId, StoreError, Tx, audit, queries};
use crate::trust::vault::Secret;

/// Fact of the store: when the last deposit was complete, in milliseconds since 1970.
const AT: &str = "deposit_at";
/// Fact of the store: the SHA-256 of its head.
const ID: &str = "deposit_id";
/// Fact of the store: the same of the one that is on its way.
const TRYING: &str = "deposit_trying";
/// Fact of the store: the last entry of the audit that is in it.
const AUDIT: &str = "deposit_audit";
/// Fact of the store: why the last try came to nothing (JSON), or empty.
const TROUBLE: &str = "deposit_trouble";
/// Fact of the store: `now` when a person wants one at once, `anyway` when it may replace one that this store does not know.
const WANTED: &str = "deposit_wanted";

/// Pause before a deposit that was refused, or failed here, is tried again.
const AGAIN_MS: i64 = 3_600_000;

/// Why a deposit came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// `unsupported` or `newer`, else what the parent or this node says.
    pub code: String,
    /// For people.
    pub message: String,
}

/// How this node stands with its deposit.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// When the last one was complete, by the parent's clock.
    pub at: Option<i64>,
    /// Its head.
    pub id: Option<String>,
    /// The head of the one that is on its way.
    pub trying: Option<String>,
    /// The last entry of the audit that is in it.
    audit: i64,
    /// Why the last try came to nothing.
    pub trouble: Option<Trouble>,
    wanted: String,
}

impl Standing {
    /// What the store knows.
    pub fn of(connection: &Connection) -> Result<Standing, StoreError> {
        let meta = |key: &str| {
            let text = queries::meta(connection, key)?;
            Ok::<_, StoreError>(text.filter(|text| !text.is_empty()))
        };
        Ok(Standing {
            at: meta(AT)?.and_then(|text| text.parse().ok()),
            id: meta(ID)?,
            trying: meta(TRYING)?,
            audit: meta(AUDIT)?.and_then(|text| text.parse().ok()).unwrap_or(0),
            trouble: meta(TROUBLE)?.and_then(|text| serde_json::from_str(&text).ok()),
            wanted: meta(WANTED)?.unwrap_or_default(),
        })
    }

    /// Whether this store knows of a deposit that the parent holds of this node.
    pub fn knows(&self, id: &str) -> bool {
        self.wanted == "anyway"
            || [&self.id, &self.trying]
                .into_iter()
                .flatten()
                .any(|known| known == id)
    }

    /// How many changes were made here since.
    pub fn younger(&self, connection: &Connection) -> Result<u64, StoreError> {
        audit::changes_after(connection, self.audit)
    }
}

/// The pause until the next deposit is due; `None` while there is to be none.
pub fn pause(
    connection: &Connection,
    interval: Duration,
    now_ms: i64,
) -> Result<Option<Duration>, StoreError> {
    let unsettled = recovery::waits(connection)? || recovery::moved(connection)?;
    if unsettled || interval.is_zero() || sealed::keys::of(connection)?.is_none() {
        return Ok(None);
    }
    let standing = Standing::of(connection)?;
    if !standing.wanted.is_empty() {
        return Ok(Some(Duration::ZERO));
    }
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let due = match (standing.trouble, standing.at) {
        (Some(trouble), _) => trouble.at.saturating_add(interval.min(AGAIN_MS)),
        (None, Some(at)) => at.saturating_add(interval),
        (None, None) => return Ok(Some(Duration::ZERO)),
    };
    // A clock that was put back must not put it off for years.
    let left = due.saturating_sub(now_ms).clamp(0, interval);
    Ok(Some(Duration::from_millis(left as u64)))
}

/// A backup that is ready to be sent, piece by piece.
pub struct Prepared {
    /// The pieces, and the head.
    pub sealed: Sealed,
    /// The secret of the pieces.
    pub secret: Secret,
    /// SHA-256 of the head.
    pub id: String,
    audit: i64,
    _work: Work,
}

/// Makes the backup that is to be deposited at the parent behind `link`.
pub async fn prepare(
    node: &Node,
    link: LinkId,
    recovery: Recovery,
) -> Result<Prepared, SealedError> {
    let made_at = jiff::Timestamp::from_millisecond(node.clock.now_ms());
    let source = Source {
        dir: node.store.dir().to_owned(),
        config: node.settings.config_file.clone(),
        adapters: Some(node.settings.adapters_dir.clone()),
        made_at: made_at.unwrap_or_default().to_string(),
        elsewhere: Some(link),
    };
    // Before the copy: what is written meanwhile counts as younger, though it may be in it.
    let audit = node.store.read(audit::last_number).await?;
    let made = tokio::task::spawn_blocking(move || {
        let work = Work::begin(&source.dir)?;
        let plain = work.path().join("plain");
        backup::make(&source, &plain)?;
        let sealed = sealed::seal(&plain, &recovery.secret, &recovery.public, &mut |_, _| {
            Ok(())
        })?;
        let id: [u8; 32] = Sha256::digest(&sealed.head).into();
        Ok(Prepared {
            sealed,
            secret: recovery.secret,
            id: hex(&id),
            audit,
            _work: work,
        })
    });
    made.await
        .map_err(|e| StoreError::Panicked(e.to_string()))?
}

/// Notes which deposit is on its way, before the parent hears of its end: the answer may be lost.
pub async fn note_trying(node: &Node, id: String) -> Result<(), StoreError> {
    node.store.write(move |tx| tx.set_meta(TRYING, &id)).await
}

/// Notes that the parent has the deposit that was on its way: only its answer was lost. What is in it is not known any more, so
/// that the one before goes on saying what is younger.
pub async fn note_arrived(node: &Node, id: String) -> Result<(), StoreError> {
    node.store.write(move |tx| tx.set_meta(ID, &id)).await
}

/// Notes a deposit that is complete.
pub async fn note_complete(node: &Node, made: &Prepared, at: i64) -> Result<(), StoreError> {
    let (id, number, now_ms) = (made.id.clone(), made.audit, node.clock.now_ms());
    node.store
        .write(move |tx| {
            note_known(tx, &id, at, number)?;
            let act = audit::Act {
                at: now_ms,
                actor: "nqsync",
                act: audit::DEPOSITED,
                subject: &id,
                detail: serde_json::json!({}),
            };
            audit::append(tx, &act)
        })
        .await
}

/// Notes the deposit that counts at the parent.
pub fn note_known(tx: &mut Tx<'_>, id: &str, at: i64, number: i64) -> Result<(), StoreError> {
    tx.set_meta(AT, &at.to_string())?;
    tx.set_meta(ID, id)?;
    tx.set_meta(TRYING, "")?;
    tx.set_meta(AUDIT, &number.to_string())?;
    tx.set_meta(TROUBLE, "")?;
    tx.set_meta(WANTED, "")
}

/// Nothing is deposited at the parent under this identity.
pub fn forget(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for key in [AT, ID, TRYING, AUDIT, TROUBLE, WANTED] {
        tx.set_meta(key, "")?;
    }
    Ok(())
}

/// Notes why there is no deposit.
pub async fn note_trouble(node: &Node, code: &str, message: String) -> Result<(), StoreError> {
    let trouble = Trouble {
        at: node.clock.now_ms(),
        code: code.to_owned(),
        message,
    };
    let text = serde_json::to_string(&trouble).map_err(|e| StoreError::Damaged(e.to_string()))?;
    node.store
        .write(move |tx| {
            tx.set_meta(TROUBLE, &text)?;
            tx.set_meta(WANTED, "")
        })
        .await
}

/// A person wants a deposit at once.
pub fn want(tx: &mut Tx<'_>, anyway: bool) -> Result<(), StoreError> {
    tx.set_meta(WANTED, if anyway { "anyway" } else { "now" })
}
