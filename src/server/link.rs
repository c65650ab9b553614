//! The parent's end of a link: the endpoints of the protocol.
//!
//! Who asks is decided by the key of the TLS connection, never by the body. Every body has a limit and a deadline; a
//! batch is unpacked outside the writer thread, applied in one transaction, and acknowledged when that is on disk.

mod answers;
mod body;
mod compare;
mod deposit;
mod files;
mod newest;
mod pull;
mod push;
mod renew;
mod roster;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use nqsync_core::model::NodeId;
use nqsync_core::protocol::succession::Succession;
use nqsync_core::protocol::{
    Agree, AuditShown, Countersigned, EnrolRequest, Hello, Limits, PREFIX, PROTOCOL, Refused,
    SESSION_HEADER, Versions, Welcome,
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use self::answers::Answers;
use self::body::{BUSY_RETRY_S, WAITING, acknowledging, busy, from_anybody, small, turn, whole};
use self::newest::Newest;
use crate::node::branches::Verdict;
use crate::node::offer::Batch;
use crate::node::{Node, branches, enrolment, renewal, session, witness};
use crate::store::links::{self, Contact, Role};
use crate::store::{LinkId, Shown, StoreError, Tx, blobs, nodes, rosters};
use crate::trust::authority::Held;
use crate::trust::pin::Pin;
use crate::trust::tls::Peer;

/// Limits of the parent's end.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Largest batch, in bytes, packed or unpacked.
    pub batch_bytes: usize,
    /// Batches in work at the same time; further ones hear `busy`.
    pub batches: usize,
    /// Longest that a request body may take to arrive.
    pub body: Duration,
    /// Longest pause between two pieces of a file.
    pub body_idle: Duration,
}

impl Default for HubLimits {
    fn default() -> Self {
        HubLimits {
            batch_bytes: 16 << 20,
            batches: 8,
            body: Duration::from_secs(300),
            body_idle: Duration::from_secs(60),
        }
    }
}

/// The parent's end of all its links.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<HubInner>,
}

struct HubInner {
    node: Node,
    limits: HubLimits,
    authority: Option<Held>,
    slots: Semaphore,
    waiting: Semaphore,
    answers: Answers,
    under_way: Mutex<HashMap<LinkId, Arc<Batch>>>,
    /// When each child was last heard, not yet in the store: a long poll a minute must not cost a sync of the disk.
    heard: Mutex<HashMap<LinkId, i64>>,
    /// One request about a child's deposit at a time.
    deposits: Newest<LinkId>,
    /// What the pieces that each child has deposited take of its quota, once they were counted.
    deposit_bytes: Mutex<HashMap<LinkId, u64>>,
    uploads: Newest<(LinkId, blobs::BlobId)>,
    /// A child's batches follow each other, so of each child one is in work: a flood of them takes nobody's turn.
    pushes: Newest<LinkId>,
    /// Lists of children that nodes have kept here, one at a time for each: they are large.
    rosters: Newest<LinkId>,
    /// The session that each child opened last.
    sessions: Mutex<HashMap<LinkId, String>>,
    /// What a child was asked to say back, so that its next greeting is known to be no late one.
    asked: Mutex<HashMap<LinkId, String>>,
}

impl Hub {
    /// A hub over a node. Without an authority nobody can enrol.
    pub fn new(node: Node, limits: HubLimits, authority: Option<Held>) -> Hub {
        let slots = Semaphore::new(limits.batches.max(1));
        let (under_way, heard) = (Mutex::default(), Mutex::default());
        let answers = Answers::new(limits.batch_bytes.min(node.settings.batch_bytes));
        Hub {
            inner: Arc::new(HubInner {
                node,
                limits,
                authority,
                slots,
                waiting: Semaphore::new(WAITING),
                answers,
                under_way,
                heard,
                deposits: Newest::default(),
                deposit_bytes: Mutex::default(),
                uploads: Newest::default(),
                pushes: Newest::default(),
                rosters: Newest::default(),
                sessions: Mutex::default(),
                asked: Mutex::default(),
            }),
        }
    }

    /// Looks at the audit that a child shows, and answers with ours and a signature under theirs.
    fn witness(
        &self,
        tx: &mut Tx<'_>,
        child: &Child,
        theirs: Option<&AuditShown>,
        torn: bool,
        now_ms: i64,
    ) -> Result<(Option<AuditShown>, Option<Countersigned>), StoreError> {
        let Some(theirs) = theirs else {
            return Ok((None, None));
        };
        witness::compare(tx, child.link, theirs, (torn, false), now_ms)?;
        let (ours, own) = (
            witness::shown(tx.connection(), child.link, theirs.seen)?,
            tx.node()?,
        );
        let signed = self.inner.authority.as_ref().and_then(|authority| {
            witness::countersign(
                authority.now().key(),
                (own, child.node),
                &theirs.head,
                now_ms,
            )
        });
        Ok((Some(ours), signed))
    }

    /// How our authorities followed each other, for a child that has not pinned the newest; notes which one it has.
    fn successions(
        &self,
        tx: &Tx<'_>,
        child: &Child,
        pinned: Option<&str>,
    ) -> Result<Vec<Succession>, StoreError> {
        let pinned: Option<Pin> = pinned.and_then(|text| text.parse().ok());
        let Some((pinned, authority)) = pinned.zip(self.inner.authority.as_ref()) else {
            return Ok(Vec::new());
        };
        let authority = authority.now();
        if authority.pins().contains(&pinned) {
            nodes::set_authority(tx.connection(), child.node, pinned.as_bytes())?;
        }
        Ok(match pinned == authority.pin() {
            true => Vec::new(),
            false => authority.successions().to_vec(),
        })
    }

    /// The routes of the protocol.
    pub fn router(&self) -> Router {
        let known = Router::new()
            .route("/open", post(open))
            .route("/push", post(push::push))
            .route("/pull", post(pull::pull))
            .route("/agree", post(agree))
            .route("/compare", post(compare::compare))
            .route("/renew", post(renew::renew))
            .route("/roster/keep", post(roster::keep))
            .route("/roster/fetch", post(roster::fetch))
            .route("/deposit/list", post(deposit::list))
            .route("/deposit/lacking", post(deposit::lacking))
            .route("/deposit/pieces", post(deposit::take))
            .route("/deposit/complete", post(deposit::complete))
            .route("/deposit/fetch", post(deposit::fetch))
            .route(
                "/blob/{sha256}",
                get(files::send_blob)
                    .head(files::blob_offset)
                    .patch(files::take_blob),
            )
            .layer(middleware::from_fn_with_state(self.clone(), known_only));
        let routes = Router::new().route("/enrol", post(enrol)).merge(known);
        Router::new()
            .nest(PREFIX, routes)
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, i64>> {
        self.inner
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down when each child was last heard; called now and then by the service.
    pub async fn note_heard(&self) -> Result<(), StoreError> {
        let heard = std::mem::take(&mut *self.heard());
        if heard.is_empty() {
            return Ok(());
        }
        let store = &self.inner.node.store;
        store
            .write(move |tx| {
                for (link, at) in heard {
                    links::note_contact(
                        tx.connection(),
                        link,
                        &Contact {
                            at,
                            ..Contact::default()
                        },
                    )?;
                }
                Ok(())
            })
            .await
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, String>> {
        self.inner
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn deposit_bytes(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, u64>> {
        self.inner
            .deposit_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, String>> {
        self.inner
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request belongs to a session that is over: another one has replaced it, of the same machine or of a copy
    /// of it, or it was ended here.
    fn is_over(&self, link: LinkId, headers: &HeaderMap) -> bool {
        let said = headers.get(SESSION_HEADER).and_then(|v| v.to_str().ok());
        said.is_some_and(|said| self.sessions().get(&link).is_none_or(|now| said != now))
    }

    /// Ends the session of a child, so that it greets again before anything else. That its connection is closed is not
    /// enough: a client with no request under way makes another one and says nothing.
    pub fn end_session(&self, child: NodeId) {
        if let Some(link) = downstream(&self.inner.node.store.shown(), child) {
            self.sessions().remove(&link);
        }
    }

    /// [`Hub::end_session`] of every child.
    pub fn end_sessions(&self) {
        self.sessions().clear();
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<LinkId, Arc<Batch>>> {
        self.inner
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The link to a child.
fn downstream(shown: &Shown, child: NodeId) -> Option<LinkId> {
    let mut links = shown.links.iter();
    let link = links.find(|link| link.peer == child && link.role == Role::Downstream);
    link.map(|found| found.link)
}

/// The child behind a connection.
#[derive(Clone, Copy)]
struct Child {
    node: NodeId,
    link: LinkId,
    key: Pin,
}

/// An answer that is not what was asked for.
struct Reply(StatusCode, Refused);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let retry = self.1.retry_after_s;
        let mut response = (self.0, Json(self.1)).into_response();
        if let Some(value) = retry.and_then(|s| HeaderValue::from_str(&s.to_string()).ok()) {
            response.headers_mut().insert("retry-after", value);
        }
        response
    }
}

impl From<StoreError> for Reply {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request of a child failed in the store");
        let refused = Refused {
            retry_after_s: Some(BUSY_RETRY_S),
            ..Refused::new(
                "store",
                "the parent cannot write now; its operator has been told",
            )
        };
        Reply(StatusCode::SERVICE_UNAVAILABLE, refused)
    }
}

fn refuse(status: StatusCode, code: &str, message: impl Into<String>) -> Reply {
    Reply(status, Refused::new(code, message))
}

/// Lets only enrolled, unrevoked nodes through, and tells the others why not.
async fn known_only(
    State(hub): State<Hub>,
    mut request: Request<Body>,
    next: middleware::Next,
) -> Result<Response, Reply> {
    let peer = request.extensions().get::<Peer>().cloned();
    let (node, key) = match peer {
        Some(Peer::Node { node, pin }) => {
            // An open connection outlives its key's place on the list by a moment; its requests do not.
            if hub.inner.node.store.shown().children.get(pin.as_bytes()) != Some(&node) {
                let message = "this node was revoked; ask the administrator of this level";
                return Err(refuse(StatusCode::FORBIDDEN, "revoked", message));
            }
            (node, pin)
        }
        Some(Peer::Unknown(pin)) => {
            let message = format!(
                "the key {pin} is not enrolled here, or was revoked; ask the administrator of this level"
            );
            return Err(refuse(StatusCode::FORBIDDEN, "unknown_node", message));
        }
        _ => {
            return Err(refuse(
                StatusCode::UNAUTHORIZED,
                "no_certificate",
                "a node certificate is needed here",
            ));
        }
    };
    let shown = hub.inner.node.store.shown();
    let Some(link) = downstream(&shown, node) else {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "unknown_node",
            "this node is not one of our children",
        ));
    };
    // A session that one of two copies had open ends here; opening it again tells who stands where.
    if !request.uri().path().ends_with("/open") {
        if shown.held.contains(&link) {
            return Err(Reply(StatusCode::FORBIDDEN, branches::cloned()));
        }
        if hub.is_over(link, request.headers()) {
            let message = "this session is over; open it again";
            return Err(refuse(StatusCode::CONFLICT, "session", message));
        }
    }
    let now = hub.inner.node.clock.now_ms();
    hub.heard().insert(link, now);
    let child = Child { node, link, key };
    request.extensions_mut().insert(child);
    hub.inner.answers.keep(child, next.run(request).await)
}

async fn open(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Welcome>, Reply> {
    // The versions first: a greeting of another version may have another shape.
    let unreadable = |e: serde_json::Error| {
        let message = format!("cannot read the greeting: {e}");
        refuse(StatusCode::BAD_REQUEST, "unreadable", message)
    };
    let greeting: serde_json::Value = small(&hub, body).await?;
    let protocol = Versions::deserialize(&greeting["protocol"]).map_err(unreadable)?;
    let Some(common) = PROTOCOL.common(protocol) else {
        let message = format!(
            "this node speaks protocol {} to {}, the child {} to {}; upgrade the older one (this is nqsync {})",
            PROTOCOL.oldest,
            PROTOCOL.newest,
            protocol.oldest,
            protocol.newest,
            env!("CARGO_PKG_VERSION")
        );
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "version", message));
    };
    let hello: Hello = serde_json::from_value(greeting).map_err(unreadable)?;
    if hello.node != child.node {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "wrong_node",
            "the greeting names another node than the certificate",
        ));
    }
    hub.under_way().remove(&child.link);
    let node = hub.inner.node.clone();
    let asked = hub.asked().remove(&child.link);
    let sure = hello.echo.is_none() || (asked.is_some() && asked == hello.echo);
    let limits = Limits {
        record_bytes: node.settings.max_record_bytes,
        batch_bytes: hub.inner.limits.batch_bytes,
        blob_bytes: node.settings.max_blob_bytes,
    };
    let session = node.store.chance().id().to_string();
    let (name, worker) = (session.clone(), hub.clone());
    let store = node.store.clone();
    let welcome = store
        .write(move |tx| {
            match branches::judge(&node, tx, child.link, &hello.chain, sure)? {
                Verdict::Pass => {}
                Verdict::Refuse(refused) => return Ok(Err(Some(refused))),
                Verdict::Unsure => return Ok(Err(None)),
            }
            // Before anything is told: whoever ends sessions because of what changes from now on finds this one.
            worker.sessions().insert(child.link, session);
            let met = session::meet(&node, tx, child.link, session::Greeting::of_child(&hello))?;
            let now_ms = node.clock.now_ms();
            let (audit, countersigned) =
                worker.witness(tx, &child, hello.audit.as_ref(), met.torn, now_ms)?;
            let welcome = Welcome {
                protocol: common,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                node: tx.node()?,
                clock_ms: now_ms,
                chain: met.chain,
                up: met.up,
                down: met.down,
                torn: met.torn,
                limits,
                session: name,
                wanted: blobs::asked_again(tx.connection(), child.link)?,
                audit,
                countersigned,
                roster: Some(rosters::hash_of(tx.connection(), child.link)?),
                authorities: worker.successions(tx, &child, hello.authority.as_deref())?,
                renew: renewal::met(tx, child.node, &child.key, now_ms)?,
            };
            Ok::<_, StoreError>(Ok(welcome))
        })
        .await?;
    let welcome = match welcome {
        Ok(welcome) => welcome,
        Err(Some(refused)) => return Err(Reply(StatusCode::FORBIDDEN, refused)),
        Err(None) => {
            let word = hub.inner.node.store.chance().id().to_string();
            hub.asked().insert(child.link, word.clone());
            let message = "this greeting may be an old one; greet again";
            let again = Refused {
                echo: Some(word),
                ..Refused::new("again", message)
            };
            return Err(Reply(StatusCode::CONFLICT, again));
        }
    };
    Ok(Json(welcome))
}

async fn agree(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Agree>, Reply> {
    let theirs: Agree = small(&hub, body).await?;
    let store = hub.inner.node.store.clone();
    let ours = store
        .read(move |connection| session::agreement(connection, child.link))
        .await?;
    if theirs.holds.pending || ours.pending {
        return Ok(Json(Agree {
            holds: ours,
            audit: None,
            countersigned: None,
        }));
    }
    let (worker, now) = (hub.clone(), hub.inner.node.clock.now_ms());
    let answer = store
        .write(move |tx| {
            let same = theirs.holds == ours;
            links::note_success(tx.connection(), child.link, now, Some(same))?;
            let (audit, countersigned) =
                worker.witness(tx, &child, theirs.audit.as_ref(), false, now)?;
            Ok::<_, StoreError>(Agree {
                holds: ours,
                audit,
                countersigned,
            })
        })
        .await?;
    Ok(Json(answer))
}

async fn enrol(State(hub): State<Hub>, body: Body) -> Result<Response, Reply> {
    let request: EnrolRequest = from_anybody(&hub, body).await?;
    let Some(authority) = hub.inner.authority.clone() else {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "no_children",
            "this node takes no children",
        ));
    };
    match enrolment::admit(&hub.inner.node, &authority.now(), request).await {
        Ok(enrolled) => Ok(Json(enrolled).into_response()),
        Err(enrolment::AdmitError::Token(error)) => {
            Err(refuse(StatusCode::UNAUTHORIZED, "token", error.to_string()))
        }
        Err(enrolment::AdmitError::Request(detail)) => {
            Err(refuse(StatusCode::BAD_REQUEST, "unreadable", detail))
        }
        Err(enrolment::AdmitError::Store(error)) => Err(error.into()),
    }
}
