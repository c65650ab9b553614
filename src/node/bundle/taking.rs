//! A bundle whose every byte is proved, joined segment by segment. How far it got is kept with what it brought.

use std::path::Path;

use nqsync_core::protocol::bundle::{Answer, Content, Manifest};
use serde_json::json;

use super::import::{Proved, Taken};
use super::{BundleError, Kept};
use crate::node::{Node, offer, parents, receive, renewal, session, witness};
use crate::store::blobs::{self, BlobError, BlobId};
use crate::store::bundles::{self, Came, State};
use crate::store::links::{self, Contact, Role};
use crate::store::{LinkId, StoreError, Tx, audit, nodes};
use crate::trust::pin::Pin;

/// A bundle that is being taken in.
pub(super) struct Taking<'a> {
    pub(super) node: &'a Node,
    pub(super) envelope: &'a Proved,
    /// How far it got, once it was begun.
    pub(super) row: Option<Came>,
    pub(super) taken: Taken,
}

impl Taking<'_> {
    /// What both sides say at the beginning of a session: what was answered for, and what is wanted.
    pub(super) fn greet(
        &mut self,
        manifest: &Manifest,
        tip: Option<Came>,
    ) -> Result<(), BundleError> {
        if self.row.is_some() {
            return Ok(());
        }
        let (node, link) = (self.node.clone(), self.envelope.peer.link);
        let (peer, key) = (
            self.envelope.peer.node,
            Pin::of_spki(&self.envelope.peer.public),
        );
        let (role, known_by) = (self.envelope.peer.role, self.envelope.peer.key.pin());
        let now_ms = node.clock.now_ms();
        let mut row = self.envelope.row(State::Begun, now_ms);
        row.segments = 1;
        row.head = manifest.chain.first().copied();
        // Nothing to answer for where there is nothing but answers.
        row.answer = (self.envelope.header.segments.len() > 1).then(|| Answer {
            at: self.envelope.at.clone(),
            ..Answer::default()
        });
        let forked = tip
            .and_then(|tip| tip.head)
            .is_some_and(|head| !manifest.chain.contains(&head));
        let torn = self.taken.torn;
        let (manifest, begun) = (manifest.clone(), row.clone());
        let answers = self.node.store.write_blocking(move |tx| {
            bundles::put(tx.connection(), &begun)?;
            if torn {
                links::note_fork(tx.connection(), link, now_ms)?;
                session::tear(tx, link, forked, now_ms)?;
            }
            let contact = Contact {
                at: now_ms,
                version: Some(manifest.version.clone()),
                ..Contact::default()
            };
            links::note_contact(tx.connection(), link, &contact)?;
            renewal::met(tx, peer, &key, now_ms)?;
            match role {
                Role::Upstream => {
                    parents::follow(tx, peer, &manifest.authorities, now_ms)?;
                }
                Role::Downstream => {
                    nodes::set_authority(tx.connection(), peer, known_by.as_bytes())?;
                }
            }
            let wanted = manifest.wanted.iter();
            for id in wanted.filter_map(|file| blobs::parse_hex(file)) {
                blobs::owe_once_more(tx.connection(), link, &id)?;
            }
            let (answers, regressed) = hear(&node, tx, link, &manifest)?;
            if let Some(shown) = &manifest.audit {
                let word = manifest.countersigned.as_ref();
                witness::brought(tx, link, shown, word, torn || regressed, now_ms)?;
            }
            Ok::<_, StoreError>(answers)
        })?;
        self.taken.answers = answers;
        self.row = Some(row);
        Ok(())
    }

    pub(super) fn segments(&mut self, manifest: &Manifest) -> Result<(), BundleError> {
        let done = self.row.as_ref().map_or(1, |row| row.segments) as usize;
        for (index, content) in manifest.contents.iter().enumerate() {
            let number = index + 2;
            if number <= done {
                continue;
            }
            let plain = self.envelope.open(number)?;
            match content {
                Content::Batch => self.batch(number, &plain)?,
                Content::Piece { file, size, offset } => {
                    if let Some(id) = blobs::parse_hex(file) {
                        self.piece(number, id, (*size, *offset), &plain)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Joins a batch, by the same judgement as one from the line.
    fn batch(&mut self, number: usize, body: &[u8]) -> Result<(), BundleError> {
        let settings = &self.node.settings;
        let lines = receive::decode(body, settings.max_batch_bytes, settings.max_record_bytes)
            .map_err(|refused| BundleError::Segment {
                number,
                what: refused.message,
            })?;
        let (lines, above) = receive::within(lines, self.envelope.header.ceiling);
        let (node, link) = (self.node.clone(), self.envelope.peer.link);
        let (actor, bundle) = (self.envelope.peer.node.to_string(), self.envelope.at.number);
        let Some(mut row) = self.row.take() else {
            return Ok(());
        };
        let (row, applied) = self.node.store.write_blocking(move |tx| {
            let ahead = links::row(tx.connection(), link)?.clock_ahead_ms;
            let mut applied = receive::apply(&node, tx, link, lines, ahead.unwrap_or(0))?;
            applied.set_aside.extend(above);
            if let Some(answer) = &mut row.answer {
                answer.set_aside.extend(applied.set_aside.iter().cloned());
                answer.unreadable += applied.unreadable;
            }
            row.segments = number as u64;
            bundles::put(tx.connection(), &row)?;
            let act = audit::Act {
                at: node.clock.now_ms(),
                actor: &actor,
                act: "batch.received",
                subject: &link.0.to_string(),
                detail: json!({ "bundle": bundle, "segment": number, "lines": applied.lines,
                    "changed": applied.changed, "set_aside": applied.set_aside.len() }),
            };
            audit::append(tx, &act)?;
            Ok::<_, StoreError>((row, applied))
        })?;
        self.taken.lines += applied.lines;
        self.taken.changed += applied.changed;
        self.taken.set_aside += applied.set_aside.len() + applied.unreadable as usize;
        self.row = Some(row);
        Ok(())
    }

    /// Puts a piece of a file behind those before it. A file that no record of the neighbour asks for is passed over.
    fn piece(
        &mut self,
        number: usize,
        id: BlobId,
        (size, offset): (u64, u64),
        piece: &[u8],
    ) -> Result<(), BundleError> {
        let link = self.envelope.peer.link;
        let wanted = self
            .node
            .store
            .read_blocking(|c| blobs::wanted(c, link, &id))?;
        let limit = self.node.settings.max_blob_bytes;
        let whole = match wanted {
            Some((_, true)) => Whole::Before,
            Some((said, false)) if said == size && size <= limit => {
                grow(self.node.store.dir(), &id, link, (size, offset), piece)?
            }
            _ => Whole::No,
        };
        let Some(mut row) = self.row.take() else {
            return Ok(());
        };
        let now_ms = self.node.clock.now_ms();
        let row = self.node.store.write_blocking(move |tx| {
            if whole == Whole::Now {
                session::file_arrived(tx, link, id, size, now_ms)?;
            }
            let file = blobs::hex(&id);
            if let Some(answer) = &mut row.answer
                && whole != Whole::No
                && !answer.files.contains(&file)
            {
                answer.files.push(file);
            }
            row.segments = number as u64;
            bundles::put(tx.connection(), &row)?;
            Ok::<_, StoreError>(row)
        })?;
        self.taken.files += usize::from(whole == Whole::Now);
        self.row = Some(row);
        Ok(())
    }

    pub(super) fn conclude(
        &mut self,
        manifest: &Manifest,
        person: &str,
    ) -> Result<(), BundleError> {
        let Some(mut row) = self.row.take() else {
            return Ok(());
        };
        let taken = &self.taken;
        let detail = json!({ "number": row.at.number, "hash": row.at.hash, "base": row.base, "lines": taken.lines,
            "changed": taken.changed, "set_aside": taken.set_aside, "files": taken.files, "answers": taken.answers,
            "missing": taken.missing, "torn": taken.torn,
            "expired_at": self.envelope.header.expires_at });
        let (actor, peer) = (person.to_owned(), self.envelope.peer.node.to_string());
        let (now_ms, heard) = (self.node.clock.now_ms(), manifest.heard.number);
        self.node.store.write_blocking(move |tx| {
            row.state = State::Taken.as_str().to_owned();
            row.tip = true;
            row.came_at = now_ms;
            bundles::put(tx.connection(), &row)?;
            bundles::settled_by(tx.connection(), &row, heard)?;
            let act = audit::Act {
                at: now_ms,
                actor: &actor,
                act: "bundle.imported",
                subject: &peer,
                detail,
            };
            audit::append(tx, &act)
        })?;
        Ok(())
    }
}

/// Whether a file is whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Before,
    Now,
    No,
}

/// Where files of bundles grow: beside those that come by the line, so that neither disturbs the other.
fn apart(link: LinkId) -> LinkId {
    LinkId(-link.0)
}

/// Puts a piece where it belongs and waits until it is on the disk. A piece whose beginning is not here is of no use.
fn grow(
    dir: &Path,
    id: &BlobId,
    link: LinkId,
    (size, offset): (u64, u64),
    piece: &[u8],
) -> Result<Whole, BundleError> {
    let link = apart(link);
    let end = offset.saturating_add(piece.len() as u64);
    if end > size || blobs::partial_len(dir, id, link) < offset {
        return Ok(Whole::No);
    }
    let mut file = blobs::open_partial(dir, id, link)?;
    let written = file
        .set_len(offset)
        .and_then(|()| std::io::Write::write_all(&mut file, piece))
        .and_then(|()| file.sync_all());
    written.map_err(blobs::io("write an arriving file"))?;
    if end < size {
        return Ok(Whole::No);
    }
    match blobs::complete(dir, id, link) {
        Ok(_) => Ok(Whole::Now),
        Err(BlobError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(file = blobs::hex(id), %error, "a file of a bundle was thrown away");
            Ok(Whole::No)
        }
    }
}

/// Takes the answers to our own bundles in. Answers how many there were, and whether the neighbour lost what it had
/// confirmed.
fn hear(
    node: &Node,
    tx: &mut Tx<'_>,
    link: LinkId,
    manifest: &Manifest,
) -> Result<(usize, bool), StoreError> {
    let now_ms = node.clock.now_ms();
    let made = bundles::made_for(tx.connection(), link)?;
    let heard = made.iter().rfind(|made| made.answered_at.is_some());
    let regressed = heard.is_some_and(|heard| manifest.taken.number < heard.at.number);
    if regressed {
        // It had more than it has now: what it answered for is no ground to build on.
        links::note_fork(tx.connection(), link, now_ms)?;
        session::tear(tx, link, true, now_ms)?;
        bundles::forget_answers(tx.connection(), link)?;
    }
    let mut heard = 0;
    let mut answers = manifest.answers.clone();
    answers.sort_by_key(|answer| answer.at.number);
    for answer in answers {
        let Some(text) = bundles::contents(tx.connection(), link, &answer.at)? else {
            continue;
        };
        let mut kept: Kept =
            serde_json::from_str(&text).map_err(|e| StoreError::Damaged(e.to_string()))?;
        // What was exchanged meanwhile in a later state is not thrown back to this one.
        let mut open = Vec::new();
        for sent in kept.records.sent {
            if !links::accepted_by_peer(tx.connection(), link, sent.state().0)? {
                open.push(sent);
            }
        }
        kept.records.sent = open;
        offer::answered(node, tx, link, &kept.records, &answer.set_aside)?;
        for id in answer
            .files
            .iter()
            .filter_map(|file| blobs::parse_hex(file))
        {
            blobs::settled(tx.connection(), link, &id)?;
        }
        bundles::answered(tx.connection(), link, answer.at.number, now_ms)?;
        heard += 1;
        let act = audit::Act {
            at: now_ms,
            actor: "nqsync",
            act: "bundle.answered",
            subject: &link.0.to_string(),
            detail: json!({ "number": answer.at.number, "set_aside": answer.set_aside.len(),
                "unreadable": answer.unreadable, "files": answer.files.len() }),
        };
        audit::append(tx, &act)?;
    }
    Ok((heard, regressed))
}
