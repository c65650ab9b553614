//! Media and the bundles on them, real ones and such as are made by hand from what docs/protocol.md says.

use std::fs;
use std::path::{Path, PathBuf};

use nqsync::api::{Answer, Command, Outcome};
use nqsync::store::{StoreError, queries};
use nqsync::trust::identity::{NODE_KEY, NodeKey};
use nqsync::trust::pin::Pin;
use nqsync::trust::{sealing, signature};
use nqsync_core::model::Classification;
use nqsync_core::protocol::bundle::{At, Content, Header, Manifest, Segment, envelope};
use nqsync_core::protocol::{PROTOCOL, hex, unhex};
use nqsync_core::sync::Incarnation;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Place;
use super::raw::pack;

/// Days a bundle lasts, unless a test says otherwise.
const LASTS_S: u64 = 30 * 86_400;

/// A folder that is carried between nodes.
pub struct Medium(pub TempDir);

impl Medium {
    pub fn new() -> Medium {
        Medium(tempfile::tempdir().expect("room"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn text(&self) -> String {
        self.path().to_str().expect("text").to_owned()
    }

    /// The bundles on it, by name.
    pub fn bundles(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).expect("a folder");
        let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        found.sort();
        found
    }

    /// A bundle is lost on the way.
    pub fn lose(&self, place: usize) {
        fs::remove_dir_all(&self.bundles()[place]).expect("removed");
    }

    /// The same bundles on another medium.
    pub fn copy(&self) -> Medium {
        let copy = Medium::new();
        super::machine::copy_tree(self.path(), copy.path());
        copy
    }
}

impl Place {
    /// `bundle export`; the data of its answer.
    pub async fn bundle(&self, to: Option<&str>, medium: &Medium) -> Value {
        self.answer(export(to, medium, None, false)).await.data
    }

    /// `bundle import`.
    pub async fn take_bundles(&self, medium: &Medium) -> Answer {
        let folder = medium.text();
        self.answer(Command::BundleImport {
            folder,
            expired: false,
        })
        .await
    }

    /// The same, for one bundle: its outcome and the code of its refusal.
    pub async fn take_one(&self, folder: &Path) -> (String, Value) {
        let folder = folder.to_str().expect("text").to_owned();
        let answer = self
            .answer(Command::BundleImport {
                folder,
                expired: false,
            })
            .await;
        let item = answer.data["items"][0].clone();
        let outcome = item["outcome"].as_str().expect("an outcome").to_owned();
        (outcome, item)
    }

    pub async fn try_take(&self, folder: &Path) -> Outcome {
        let folder = folder.to_str().expect("text").to_owned();
        self.ask_for(
            None,
            Command::BundleImport {
                folder,
                expired: false,
            },
        )
        .await
    }

    /// The acts in the audit that begin so.
    pub async fn acts(&self, act: &str) -> Vec<Value> {
        let filter = nqsync::api::AuditFilter {
            act: Some(act.to_owned()),
            limit: Some(1000),
            ..Default::default()
        };
        let shown = self.data(Command::AuditShow { filter }).await;
        shown["items"].as_array().expect("a list").clone()
    }
}

pub fn export(to: Option<&str>, medium: &Medium, since: Option<u64>, one_way: bool) -> Command {
    Command::BundleExport {
        to: to.map(str::to_owned),
        folder: medium.text(),
        since,
        one_way,
        lasts_s: LASTS_S,
    }
}

/// The outcomes of an import, in order.
pub fn outcomes(answer: &Answer) -> Vec<String> {
    let items = answer.data["items"].as_array().expect("a list");
    let outcome = |item: &Value| item["outcome"].as_str().expect("an outcome").to_owned();
    items.iter().map(outcome).collect()
}

/// A bundle made by hand with a child's own key.
pub struct Forged {
    pub header: Header,
    key: NodeKey,
    to: Vec<u8>,
    plain: Vec<Vec<u8>>,
    contents: Vec<Content>,
}

impl Forged {
    /// From a child to its parent, with these lines in one batch.
    pub async fn of(child: &Place, lines: &[String]) -> Forged {
        let read = child.node.store.read(|c| {
            let key = queries::meta(c, "upstream_key")?;
            Ok::<_, StoreError>((key, queries::meta(c, "upstream_node")?))
        });
        let (to, parent) = read.await.expect("a read");
        let to = unhex(&to.expect("the parent's key")).expect("digits");
        let now = child.node.clock.now_ms();
        Forged {
            header: Header {
                from: child.node.store.shown().node.expect("a node"),
                to: parent.expect("a parent").parse().expect("a node"),
                to_key: Pin::of_spki(&to).to_string(),
                number: 1,
                before: At::default(),
                base: At::default(),
                made_at: now,
                expires_at: now + 86_400_000,
                ceiling: Classification::None,
                answer: true,
                segments: Vec::new(),
            },
            key: NodeKey::load(&child.dir.path().join(NODE_KEY)).expect("a key"),
            to,
            plain: vec![pack(lines)],
            contents: vec![Content::Batch],
        }
    }

    /// Writes it to a medium; answers its folder.
    pub fn write(mut self, medium: &Medium) -> PathBuf {
        let name = format!("nqsync-00000000-00000000-{:06}", self.header.number);
        let folder = medium.path().join(name);
        fs::create_dir(&folder).expect("room");
        let manifest = Manifest {
            authorities: Vec::new(),
            protocol: PROTOCOL,
            version: "by hand".to_owned(),
            chain: vec![Incarnation([5; 16])],
            contents: self.contents,
            taken: At::default(),
            heard: At::default(),
            answers: Vec::new(),
            wanted: Vec::new(),
            audit: None,
            countersigned: None,
        };
        let manifest = serde_json::to_vec(&manifest).expect("json");
        let own = Pin::of_spki(&signature::public(&self.key));
        let (number, to) = (self.header.number, &self.header.to_key);
        let after = &self.header.before.hash;
        let info =
            format!("nqsync bundle 1\nfrom {own}\nto {to}\nnumber {number}\nafter {after}\n");
        for (index, plain) in [manifest].iter().chain(&self.plain).enumerate() {
            let aad = (index + 1).to_string();
            let sealed = sealing::seal(&self.to, info.as_bytes(), aad.as_bytes(), plain);
            let sealed = sealed.expect("sealed");
            self.header.segments.push(Segment {
                bytes: sealed.len() as u64,
                sha256: hex(&Sha256::digest(&sealed)),
            });
            fs::write(folder.join(format!("{:06}", index + 1)), sealed).expect("room");
        }
        write_envelope(&folder, &self.header, &self.key);
        folder
    }
}

/// Signs a header and puts it where an envelope stands.
pub fn write_envelope(folder: &Path, header: &Header, key: &NodeKey) {
    let own = Pin::of_spki(&signature::public(key));
    let signed = header.signed_text(own.as_bytes()).expect("json");
    let by = signature::sign(key, &signed).expect("signed");
    fs::write(folder.join("000000"), envelope(&signed, &by)).expect("room");
}
