//! The deposit of this node's sealed backup at its parent, and getting one back. It is the lowest lane: before each piece, records
//! and files that wait go first.

use std::path::Path;
use std::time::Instant;

use nqsync_core::model::NodeId;
use nqsync_core::protocol::deposit::{
    Deposited, Deposits, Fetch, Head, MAX_ASKED, MAX_HEAD, MAX_PIECES, Name, parse_names, pieces,
    put_piece, render_names,
};
use nqsync_core::protocol::hex;
use reqwest::{Method, StatusCode};

use super::{LinkError, Upstream};
use crate::link::pace;
use crate::link::transport::Request;
use crate::node::deposit::{self, Prepared, Standing};
use crate::node::sealed::{self, SealedError, keys};
use crate::store::backup::io;
use crate::store::{StoreError, queries};
use crate::trust::vault;

/// Names in one request for pieces.
const FETCHED: usize = 64;

/// How a try to deposit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The deposit is complete.
    Complete,
    /// There is none, for this reason: a stable code, and words.
    Not(String, String),
}

impl From<SealedError> for LinkError {
    fn from(error: SealedError) -> Self {
        match error {
            SealedError::Store(error) => LinkError::Store(error),
            other => LinkError::Backup(other.to_string()),
        }
    }
}

impl Upstream {
    /// Deposits a sealed backup of this node as it is now; only what the parent lacks is sent.
    pub async fn deposit(&self) -> Result<Outcome, LinkError> {
        let node = &self.inner.node;
        let known = node
            .store
            .read(|c| {
                let own = queries::meta(c, "node")?.and_then(|text| text.parse::<NodeId>().ok());
                Ok::<_, StoreError>((own, Standing::of(c)?, keys::of(c)?))
            })
            .await?;
        let (Some(own), standing, Some(recovery)) = known else {
            return Ok(Outcome::Not(
                "no_key".to_owned(),
                "no recovery key".to_owned(),
            ));
        };
        self.quiet().await;
        let Some(deposits) = self.deposits().await? else {
            let message = "the parent's version knows no deposits; they begin when it is upgraded";
            return Ok(Outcome::Not("unsupported".to_owned(), message.to_owned()));
        };
        let held = deposits.iter().find(|deposit| deposit.node == own);
        if held.is_some_and(|held| !standing.knows(&held.id)) {
            let message = "the parent holds a deposit of this node that this store does not know";
            return Ok(Outcome::Not("newer".to_owned(), message.to_owned()));
        }
        if let Some(held) = held.filter(|held| standing.id.as_ref() != Some(&held.id)) {
            deposit::note_arrived(node, held.id.clone()).await?;
        }
        let made = deposit::prepare(node, self.inner.link, recovery).await?;
        match self.send_deposit(&made).await {
            Ok(done) => {
                deposit::note_complete(node, &made, done.at).await?;
                Ok(Outcome::Complete)
            }
            Err(LinkError::Refused { code, message })
                if ["quota", "no_room", "no_deposits", "incomplete"].contains(&code.as_str()) =>
            {
                Ok(Outcome::Not(code, message))
            }
            Err(error) => Err(error),
        }
    }

    async fn send_deposit(&self, made: &Prepared) -> Result<Deposited, LinkError> {
        let total = made.sealed.pieces.len() as u64;
        let (mut done, mut body) = (0, Vec::new());
        for part in made.sealed.pieces.chunks(MAX_ASKED) {
            let names: Vec<Name> = part.iter().map(|(name, _)| *name).collect();
            let lacking: std::collections::HashSet<Name> =
                self.lacking(&names).await?.into_iter().collect();
            for (name, place) in part {
                done += 1;
                if !lacking.contains(name) {
                    continue;
                }
                let (secret, place) = (made.secret.clone(), place.clone());
                let again =
                    tokio::task::spawn_blocking(move || sealed::sealed_piece(&secret, &place));
                let (found, piece) = again
                    .await
                    .map_err(|e| StoreError::Panicked(e.to_string()))??;
                if found != *name {
                    let what = "a piece of the backup is not what it was a moment ago";
                    return Err(LinkError::Backup(what.to_owned()));
                }
                let most = self.deposit_bytes();
                if !body.is_empty() && body.len() + piece.len() + 4 > most {
                    self.send_pieces(std::mem::take(&mut body), (done, total))
                        .await?;
                }
                put_piece(&mut body, &piece);
            }
        }
        if !body.is_empty() {
            self.send_pieces(body, (done, total)).await?;
        }
        self.quiet().await;
        deposit::note_trying(&self.inner.node, made.id.clone()).await?;
        let request = Request::new(Method::POST, self.endpoint("deposit/complete"));
        let request = request.body(made.sealed.head.clone());
        self.read_json(self.checked(request).await?).await
    }

    /// Most bytes of pieces in one request.
    fn deposit_bytes(&self) -> usize {
        let settings = &self.inner.node.settings;
        let most = pace::piece(settings.file_piece_bytes, settings.bandwidth_bytes_per_s);
        self.piece_bytes(most).min(MAX_PIECES)
    }

    /// Waits until no record and no file is on its way up.
    async fn quiet(&self) {
        drop(self.inner.pushing.lock().await);
        drop(self.inner.files.lock().await);
    }

    async fn send_pieces(&self, body: Vec<u8>, file: (u64, u64)) -> Result<(), LinkError> {
        self.quiet().await;
        self.note(|r| {
            r.phase = "deposit";
            r.file = Some(file);
        });
        let (begun, length) = (Instant::now(), body.len() as u64);
        let request = Request::new(Method::POST, self.endpoint("deposit/pieces")).body(body);
        self.checked(request).await?;
        self.note(|r| {
            r.bytes_up += length;
            r.file = None;
        });
        let settings = &self.inner.node.settings;
        let asked = self.deposit_bytes();
        self.carried(asked, length, begun.elapsed(), settings.file_piece_bytes);
        let pause = pace::pause(length, settings.bandwidth_bytes_per_s, begun.elapsed());
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn lacking(&self, names: &[Name]) -> Result<Vec<Name>, LinkError> {
        let request = Request::new(Method::POST, self.endpoint("deposit/lacking"));
        let request = request.body(render_names(names));
        let answer = self.checked(request).await?;
        let bytes = self.body(answer, MAX_ASKED * 32).await?;
        parse_names(&bytes).ok_or_else(|| LinkError::Unreadable("a name is cut".to_owned()))
    }

    /// The deposits that this node may have back, newest first; `None`: the parent's version knows no deposits.
    pub async fn deposits(&self) -> Result<Option<Vec<Deposited>>, LinkError> {
        let request = Request::new(Method::POST, self.endpoint("deposit/list"));
        let response = self.raw(request).await?;
        if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&response.status()) {
            return Ok(None);
        }
        let found: Deposits = self.read_json(self.success(response).await?).await?;
        Ok(Some(found.deposits))
    }

    /// The head of a deposit.
    pub async fn deposited_head(&self, node: NodeId) -> Result<Vec<u8>, LinkError> {
        let asked = Fetch {
            node,
            names: Vec::new(),
        };
        let answer = self.checked(self.post("deposit/fetch", &asked)?).await?;
        self.body(answer, MAX_HEAD).await
    }

    /// Brings the pieces of a deposit into a folder, in the form of a sealed backup. Those that are there already are kept, so a
    /// cut costs little. Answers how many the parent does not have as they were.
    pub async fn fetch_deposit(
        &self,
        node: NodeId,
        head: &Head,
        folder: &Path,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<usize, LinkError> {
        let here = |name: &Name| sealed::folder_piece(folder, name).is_ok();
        let mut wanted: Vec<Name> = head.names.iter().copied().filter(|n| !here(n)).collect();
        let (total, mut lost) = (wanted.len(), 0);
        while !wanted.is_empty() {
            progress(total - wanted.len(), total);
            let names = wanted.iter().take(FETCHED).map(|name| hex(name)).collect();
            let request = self.post("deposit/fetch", &Fetch { node, names })?;
            let answer = self.checked(request).await?;
            let body = self.body(answer, MAX_PIECES + (MAX_PIECES >> 1)).await?;
            let found =
                pieces(&body).filter(|found| !found.is_empty() && found.len() <= wanted.len());
            let found = found.ok_or_else(|| LinkError::Unreadable("a piece is cut".to_owned()))?;
            let count = found.len();
            for (name, piece) in wanted.iter().zip(found) {
                if vault::name_of(piece) != *name {
                    lost += 1;
                    continue;
                }
                sealed::put_piece(folder, name, piece)?;
            }
            wanted.drain(..count);
        }
        progress(total, total);
        let device = std::fs::File::open(folder).map_err(io("open the fetched backup"))?;
        rustix::fs::syncfs(device)
            .map_err(std::io::Error::from)
            .map_err(io("sync the fetched backup"))?;
        Ok(lost)
    }
}
