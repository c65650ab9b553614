//! Making a bundle: what waits for a neighbour, sealed for it, with our answers to what it sent.
//!
//! The order is what a crash at any step rests on: everything is on the medium under a name that nobody reads; then the
//! number is taken, together with what a receipt will answer for; then the bundle gets its name. So there is never a named
//! bundle that is not whole, and never a number that is given twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use nqsync_core::model::{Classification, Kind};
use nqsync_core::protocol::bundle::{
    At, Content, FILE_PIECE, Header, MAX_ENVELOPE, MAX_MANIFEST, MAX_SEGMENTS, Manifest, Segment,
    envelope, hash,
};
use nqsync_core::protocol::succession::Succession;
use nqsync_core::protocol::{CHAIN_SHOWN, PROTOCOL, hex};
use nqsync_core::sync::Digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::medium::{self, Draft};
use super::peer::Peer;
use super::{BundleError, Kept, seal_info};
use crate::node::{Node, files, offer, witness};
use crate::store::blobs::{self, BlobId};
use crate::store::bundles::{self, Made, Remembered};
use crate::store::links::{Due, Position};
use crate::store::{LinkId, Rec, Role, StoreError, audit, queries};
use crate::trust::authority::Authority;
use crate::trust::pin::Pin;
use crate::trust::{sealing, signature};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// For the neighbour at the other end of this link.
    pub link: LinkId,
    /// Where to.
    pub folder: PathBuf,
    /// Build on this bundle: only what is newer goes. `None`: on the last one that was answered for.
    pub base: Option<At>,
    /// No answer can come back.
    pub one_way: bool,
    /// For how long it may be taken in, in milliseconds.
    pub lasts_ms: i64,
    /// Who asked.
    pub person: String,
}

/// What was made.
#[derive(Debug)]
#[allow(missing_docs)] // The names say it.
pub struct Exported {
    pub at: At,
    pub base: At,
    pub folder: PathBuf,
    pub records: usize,
    pub files: usize,
    pub answers: usize,
    pub bytes: u64,
    pub expires_at: i64,
    /// Records above the ceiling: they stay.
    pub withheld: Vec<(Kind, Uuid)>,
    /// Numbers taken before by bundles that were stopped, and that have no name on this medium.
    pub without_name: Vec<u64>,
}

/// What a bundle must not or need not hold.
#[derive(Default)]
struct LeftOut {
    /// Sent with the bundle it builds on, or one before that.
    states: HashSet<(Rec, Option<Digest>)>,
    files: HashSet<String>,
    withheld: Vec<(Kind, Uuid)>,
    withheld_files: HashSet<BlobId>,
}

impl LeftOut {
    fn load(node: &Node, order: &Order) -> Result<LeftOut, BundleError> {
        let mut left_out = LeftOut::default();
        let Some(base) = &order.base else {
            return Ok(left_out);
        };
        let (link, number) = (order.link, base.number);
        let known = node
            .store
            .read_blocking(|c| bundles::contents_up_to(c, link, number))?;
        for text in known.into_iter().flatten() {
            let kept: Kept =
                serde_json::from_str(&text).map_err(|e| StoreError::Damaged(e.to_string()))?;
            left_out
                .states
                .extend(kept.records.sent.iter().map(offer::Sent::state));
            left_out.files.extend(kept.files);
        }
        Ok(left_out)
    }

    /// Whether something that waits stays out. The level comes first: what is above the ceiling never goes.
    fn leaves_out(&mut self, due: &Due, ceiling: Classification) -> bool {
        let (Due::Record(stored) | Due::Brought(stored)) = due else {
            return self.states.contains(&(due.rec(), None));
        };
        let record = &stored.record;
        if !due.level().may_leave(ceiling) {
            self.withheld.push((record.key().kind, record.key().id));
            self.withheld_files
                .extend(files::file_of(record).map(|(id, ..)| id));
            return true;
        }
        self.states.contains(&(stored.rec, Some(stored.digest)))
    }
}

/// A bundle on its way to the medium.
struct Writing<'a> {
    node: &'a Node,
    peer: &'a Peer,
    draft: Draft,
    info: Vec<u8>,
    /// Segments from the second on; the first one, which lists them, is written last.
    segments: Vec<Segment>,
    contents: Vec<Content>,
    kept: Kept,
    bytes: u64,
}

/// Makes a bundle; `None` when there is nothing to be said.
pub fn export(node: &Node, order: &Order) -> Result<Option<Exported>, BundleError> {
    let (link, dir) = (order.link, node.store.dir().to_owned());
    let (peer, made, remembered, came) = node.store.read_blocking(|c| {
        Ok::<_, BundleError>((
            Peer::at(c, &dir, link)?,
            bundles::made_for(c, link)?,
            Remembered::load(c, link)?,
            bundles::came_from(c, link)?,
        ))
    })?;
    let heard = made.iter().rfind(|made| made.answered_at.is_some());
    let heard = heard.map(|made| made.at.clone()).unwrap_or_default();
    let before = made.last().map(|made| made.at.clone()).unwrap_or_default();
    let base = order.base.clone().unwrap_or_else(|| heard.clone());
    let answers: Vec<_> = came
        .into_iter()
        .filter_map(|bundle| bundle.answer)
        .collect();
    let own_pin = peer.key.pin();
    let to_key = Pin::of_spki(&peer.public).to_string();
    let number = before.number + 1;
    // A stop between the last two steps leaves a bundle that has its name and does not know it.
    let unsure = made.iter().filter(|made| !made.placed);
    let (found, without_name): (Vec<u64>, Vec<u64>) = unsure
        .map(|made| made.at.number)
        .partition(|number| medium::is_there(&order.folder, peer.own, peer.node, *number));
    let mut left_out = LeftOut::load(node, order)?;
    let mut writing = Writing {
        node,
        peer: &peer,
        draft: Draft::begin(&order.folder, peer.own, peer.node, number)?,
        info: seal_info(&own_pin, &to_key, number, &before.hash),
        segments: Vec::new(),
        contents: Vec::new(),
        kept: Kept::default(),
        bytes: 0,
    };
    writing.records(&mut left_out)?;
    writing.files(&left_out)?;
    let holds = !writing.segments.is_empty();
    if !holds && answers.is_empty() {
        return Ok(None);
    }
    // Each opening shows itself, so that a disk that went back can be told from one that did not.
    let now_ms = node.clock.now_ms();
    let chain = node.store.write_blocking(move |tx| {
        tx.incarnation(now_ms)?;
        queries::chain(tx.connection(), CHAIN_SHOWN)
    })?;
    let answered = answers.len();
    let (wanted, audit, countersigned) = node.store.read_blocking(|c| {
        let nodes = (peer.own, peer.node);
        let word = match peer.role {
            Role::Downstream => witness::word_on(c, link, &peer.key, nodes, now_ms)?,
            Role::Upstream => None,
        };
        let shown = witness::shown(c, link, None)?;
        Ok::<_, StoreError>((blobs::asked_again(c, link)?, shown, word))
    })?;
    let manifest = Manifest {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        chain,
        contents: std::mem::take(&mut writing.contents),
        taken: nqsync_core::protocol::bundle::Memory::tip(&remembered),
        heard,
        answers,
        wanted,
        audit: Some(audit),
        countersigned,
        authorities: successions(node, &peer),
    };
    let first = writing.manifest(&manifest)?;
    writing.segments.insert(0, first);
    let header = Header {
        from: peer.own,
        to: peer.node,
        to_key,
        number,
        before,
        base,
        made_at: now_ms,
        expires_at: now_ms.saturating_add(order.lasts_ms),
        ceiling: node.store.level(),
        answer: holds && !order.one_way,
        segments: std::mem::take(&mut writing.segments),
    };
    let hash = writing.envelope(&header, &own_pin)?;
    let exported = Exported {
        at: At { number, hash },
        base: header.base.clone(),
        folder: PathBuf::new(),
        records: writing.kept.records.sent.len(),
        files: writing.kept.files.len(),
        answers: answered,
        bytes: writing.bytes,
        expires_at: header.expires_at,
        withheld: left_out.withheld,
        without_name,
    };
    writing.take_number(&exported, &header, &order.person)?;
    let folder = writing.draft.finish()?;
    node.store.write_blocking(move |tx| {
        for number in found.into_iter().chain([number]) {
            bundles::placed(tx.connection(), link, number)?;
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(Some(Exported { folder, ..exported }))
}

/// How our authorities followed each other, for a child that has not shown that it knows the newest.
fn successions(node: &Node, peer: &Peer) -> Vec<Succession> {
    let authority = match peer.role {
        Role::Downstream => Authority::load(&node.store.dir().join("keys")).ok(),
        Role::Upstream => None,
    };
    let newer = authority.filter(|authority| authority.pin() != peer.key.pin());
    newer.map_or_else(Vec::new, |authority| authority.successions().to_vec())
}

impl Writing<'_> {
    /// The records that wait, in batches as on the line.
    fn records(&mut self, left_out: &mut LeftOut) -> Result<(), BundleError> {
        let store = &self.node.store;
        let shown = store.shown();
        let mut after = (-1, 0);
        loop {
            let target = offer::Target {
                link: self.peer.link,
                peer: self.peer.node,
                node: self.peer.own,
                batch_bytes: self.node.settings.batch_bytes,
                after,
            };
            let prepared = store.read_blocking(|c| {
                let mut leave = |due: &Due| left_out.leaves_out(due, store.level());
                let position = Position::default();
                offer::prepare_but(self.node, c, &shown.tree, target, &position, &mut leave)
            })?;
            let Some(batch) = prepared else { break };
            let first = after == (-1, 0);
            // Receipts ride along in every batch; alone they would be sent twice.
            let worth_it = batch.records() > 0 || (first && batch.plain_bytes > 0);
            let went_on = batch.until != after;
            after = batch.until;
            if worth_it {
                self.segment(&batch.body, Content::Batch)?;
                let (kept, holds) = (&mut self.kept.records, batch.contents);
                kept.sent.extend(holds.sent);
                if first {
                    (kept.receipts, kept.brought) = (holds.receipts, holds.brought);
                }
            }
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    /// The files that the neighbour needs, in pieces. Of a record that stays its file stays as well.
    fn files(&mut self, left_out: &LeftOut) -> Result<(), BundleError> {
        let link = self.peer.link;
        let store = &self.node.store;
        for (id, size) in store.read_blocking(|c| blobs::due(c, link))? {
            let file = blobs::hex(&id);
            if left_out.files.contains(&file) || left_out.withheld_files.contains(&id) {
                continue;
            }
            self.file(&blobs::path(store.dir(), &id), &file, size)?;
            self.kept.files.push(file);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, file: &str, size: u64) -> Result<(), BundleError> {
        let mut offset = 0;
        loop {
            let piece = blobs::read_piece(path, offset, FILE_PIECE as usize)?;
            let content = Content::Piece {
                file: file.to_owned(),
                size,
                offset,
            };
            offset += piece.len() as u64;
            let cut = piece.is_empty() && size > 0;
            if cut {
                let what = format!("the file {file} is shorter here than noted");
                return Err(StoreError::Damaged(what).into());
            }
            self.segment(&piece, content)?;
            if offset >= size {
                return Ok(());
            }
        }
    }

    /// Seals one segment and writes it behind those before.
    fn segment(&mut self, plain: &[u8], content: Content) -> Result<(), BundleError> {
        // One more is the manifest.
        let number = self.segments.len() + 2;
        if number > MAX_SEGMENTS {
            return Err(BundleError::TooLarge(MAX_SEGMENTS));
        }
        let segment = self.sealed(number, plain)?;
        self.segments.push(segment);
        self.contents.push(content);
        Ok(())
    }

    fn manifest(&mut self, manifest: &Manifest) -> Result<Segment, BundleError> {
        let text = serde_json::to_vec(manifest).map_err(|e| StoreError::Damaged(e.to_string()))?;
        if text.len() as u64 > MAX_MANIFEST {
            return Err(BundleError::TooLarge(MAX_SEGMENTS));
        }
        self.sealed(1, &text)
    }

    fn sealed(&mut self, number: usize, plain: &[u8]) -> Result<Segment, BundleError> {
        let aad = number.to_string();
        let sealed = sealing::seal(&self.peer.public, &self.info, aad.as_bytes(), plain);
        let sealed = sealed.ok_or_else(|| {
            BundleError::NoKey(format!("the key of node {} cannot be used", self.peer.node))
        })?;
        self.draft.write(number, &sealed)?;
        self.bytes += sealed.len() as u64;
        Ok(Segment {
            bytes: sealed.len() as u64,
            sha256: hex(&Sha256::digest(&sealed)),
        })
    }

    /// Signs the header and writes the envelope. Answers the bundle's hash.
    fn envelope(&mut self, header: &Header, own: &Pin) -> Result<String, BundleError> {
        let signed = header
            .signed_text(own.as_bytes())
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        let by = signature::sign(&self.peer.key, &signed)
            .ok_or_else(|| BundleError::NoKey("the key of this node cannot sign".to_owned()))?;
        let text = envelope(&signed, &by);
        if text.len() > MAX_ENVELOPE {
            return Err(BundleError::TooLarge(MAX_SEGMENTS));
        }
        self.draft.write(0, text.as_bytes())?;
        self.draft.settle()?;
        Ok(hash(&signed))
    }

    /// Takes the number, for good: whatever happens from here on, no other bundle gets it.
    fn take_number(
        &mut self,
        exported: &Exported,
        header: &Header,
        person: &str,
    ) -> Result<(), BundleError> {
        let kept =
            serde_json::to_string(&self.kept).map_err(|e| StoreError::Damaged(e.to_string()))?;
        let made = Made {
            link: self.peer.link,
            at: exported.at.clone(),
            made_at: header.made_at,
            answer: header.answer,
            placed: false,
            answered_at: None,
        };
        let detail = json!({ "number": made.at.number, "hash": made.at.hash, "base": header.base.number,
            "records": exported.records, "files": exported.files, "answers": exported.answers,
            "withheld": exported.withheld.len(), "answer_expected": header.answer });
        let (person, peer) = (person.to_owned(), self.peer.node.to_string());
        self.node.store.write_blocking(move |tx| {
            bundles::add(tx.connection(), &made, &kept)?;
            let act = audit::Act {
                at: made.made_at,
                actor: &person,
                act: "bundle.exported",
                subject: &peer,
                detail,
            };
            audit::append(tx, &act)
        })?;
        Ok(())
    }
}
