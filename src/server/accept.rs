//! The accept loop: from a TCP connection to requests that carry who sent them.
//!
//! Invariants: nobody's silence delays another one (each handshake is a task with a deadline), every stage has a
//! deadline and every count a limit, and a panic in one handler ends one request.
//!
//! Deliberately absent: deadlines of request bodies and their sizes. They depend on the route and belong there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, error, info, warn};

use super::connections::{Connections, Place};
use super::sending;
use crate::trust::tls::{Peer, ServerTls};

/// Pause after the system refused to accept (out of file descriptors): the cause takes time to go away.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Requests in progress on a connection that is not a known node's: whoever enrols makes one.
const STRANGER_STREAMS: u32 = 4;

/// Bytes of one answer that are handed to a connection before its peer takes them: the rest counts as not sent, and a
/// peer that announces room and reads nothing costs no more than this for each request.
const SENDING: usize = 64 * 1024;

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct AcceptLimits {
    /// Open connections in all; a further one takes the place of the stranger who has been here longest. Where there is
    /// none it waits, and others wait in the system's queue.
    pub connections: usize,
    /// Open connections of one node; a further one replaces the oldest.
    pub per_node: usize,
    /// Open connections of one address (of one network of IPv6, which a host has to itself) that are not (yet) a known
    /// node's. Many communes may share an address.
    pub per_address: usize,
    /// Open connections after their handshake that are not a known node's; a further one takes the place of the one that
    /// has been here longest.
    pub strangers: usize,
    /// TLS handshake, from accept to the end.
    pub handshake: Duration,
    /// From the handshake to the first whole request header.
    pub first_request: Duration,
    /// Longest time without a request in progress.
    pub idle: Duration,
    /// Whole life of a connection that is not a known node's.
    pub stranger: Duration,
    /// Pause between HTTP/2 pings.
    pub ping: Duration,
    /// Longest wait for the answer to a ping.
    pub ping_reply: Duration,
    /// Requests in progress on one connection.
    pub streams: u32,
    /// Header of one request, in bytes.
    pub header_bytes: u32,
    /// Longest time in which a peer takes nothing of an answer to it.
    pub reading: Duration,
    /// How long requests in progress may go on after a shutdown or the end of a connection's time.
    pub drain: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_node: 4,
            per_address: 256,
            strangers: 1024,
            handshake: Duration::from_secs(15),
            first_request: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            stranger: Duration::from_secs(60),
            ping: Duration::from_secs(20),
            ping_reply: Duration::from_secs(20),
            streams: 32,
            header_bytes: 16 * 1024,
            reading: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

/// What happened at a listener since it began, for status and metrics.
#[derive(Debug, Default)]
pub struct AcceptCounts {
    /// Connections that reached HTTP.
    pub served: AtomicU64,
    /// Handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Connections turned away because their address had too many.
    pub turned_away: AtomicU64,
    /// Handlers that panicked. Not zero: a person must look at the log.
    pub panics: AtomicU64,
}

/// A listener's rules and state. Clones share the state.
#[derive(Clone)]
pub struct Acceptor {
    tls: ServerTls,
    limits: AcceptLimits,
    connections: Connections,
    counts: Arc<AcceptCounts>,
    tasks: TaskTracker,
}

/// A connection of which nothing is known yet.
struct Arrived {
    stream: TcpStream,
    remote: SocketAddr,
    stop: CancellationToken,
    stranger: Place,
}

/// Requests in progress on one connection.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    active: usize,
    any_yet: bool,
}

impl Acceptor {
    /// Rules for one listener.
    pub fn new(tls: ServerTls, limits: AcceptLimits) -> Self {
        let (connections, counts, tasks) = Default::default();
        Self {
            tls,
            limits,
            connections,
            counts,
            tasks,
        }
    }

    /// The open connections: to see who is there, and to close a revoked node's.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// What happened so far.
    pub fn counts(&self) -> Arc<AcceptCounts> {
        self.counts.clone()
    }

    /// Serve `router` until `shutdown`, then let requests in progress end within the drain time.
    ///
    /// Each request carries [`Peer`] and [`ConnectInfo<SocketAddr>`] as extensions.
    pub async fn serve(self, listener: TcpListener, router: Router, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, remote)) => {
                    let stop = CancellationToken::new();
                    // First: who is turned away must cost nobody a place.
                    let Some(stranger) = self.admit(remote, &stop) else {
                        continue;
                    };
                    let Some(permit) = shutdown.run_until_cancelled(self.slot(&slots)).await else {
                        break;
                    };
                    let arrived = Arrived {
                        stream,
                        remote,
                        stop,
                        stranger,
                    };
                    let connection =
                        self.clone()
                            .connection(arrived, router.clone(), shutdown.clone());
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(cause) => {
                    warn!(%cause, "cannot accept a connection; trying again");
                    shutdown.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        drop(listener);
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn admit(&self, remote: SocketAddr, stop: &CancellationToken) -> Option<Place> {
        let limit = self.limits.per_address;
        let place = self.connections.admit_stranger(remote.ip(), limit, stop);
        if place.is_none() {
            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
            debug!(%remote, "turned away: too many connections from this address");
        }
        place
    }

    /// A place among all connections. Where they are all taken a crowd of strangers would keep every child out until its
    /// time is up: the one who has been here longest had its chance. A known node gives way to nobody.
    async fn slot(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(free) = slots.clone().try_acquire_owned() {
            return Some(free);
        }
        self.connections.close_oldest_stranger();
        slots.clone().acquire_owned().await.ok()
    }

    async fn connection(self, arrived: Arrived, router: Router, shutdown: CancellationToken) {
        let Arrived {
            stream,
            remote,
            stop,
            stranger,
        } = arrived;
        // Whatever ends this task also ends the requests it began.
        let _end_requests = stop.clone().drop_guard();
        let handshake = stop.run_until_cancelled(self.handshake(stream, remote));
        let Some(Some(Some(stream))) = shutdown.run_until_cancelled(handshake).await else {
            return;
        };
        let peer = self.tls.identify(stream.get_ref().1.peer_certificates());
        let _place = match peer {
            Peer::Node { node, pin } => {
                let place = self
                    .connections
                    .admit_node((node, pin), self.limits.per_node, &stop);
                drop(stranger);
                place
            }
            Peer::Unknown(pin) => {
                info!(%remote, %pin, "a node with an unknown key connected; it is told to enrol");
                stranger.settled(Some(pin), self.limits.strangers);
                stranger
            }
            Peer::Anonymous => {
                stranger.settled(None, self.limits.strangers);
                stranger
            }
        };
        // A change between the two looks at the list found no connection to close.
        if !self.tls.still_holds(&peer) {
            return;
        }
        self.counts.served.fetch_add(1, Ordering::Relaxed);
        // On its own: what a connection needs later is not set aside for a crowd that never gets so far.
        Box::pin(self.http(stream, remote, peer, router, stop, shutdown)).await;
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        if let Err(cause) = stream.set_nodelay(true) {
            debug!(%remote, %cause, "cannot switch off Nagle's algorithm");
        }
        let outcome = timeout(self.limits.handshake, async {
            // Who says nothing is to cost a socket, not the memory of a handshake.
            stream.readable().await?;
            Box::pin(TlsAcceptor::from(self.tls.config()).accept(stream)).await
        })
        .await;
        match outcome {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                return Some(stream);
            }
            Ok(Ok(_)) => debug!(%remote, "handshake refused: the client does not offer HTTP/2"),
            Ok(Err(cause)) => debug!(%remote, %cause, "handshake failed"),
            Err(_) => debug!(%remote, "handshake took too long"),
        }
        self.counts
            .handshakes_failed
            .fetch_add(1, Ordering::Relaxed);
        None
    }

    async fn http(
        &self,
        stream: TlsStream<TcpStream>,
        remote: SocketAddr,
        peer: Peer,
        router: Router,
        stop: CancellationToken,
        shutdown: CancellationToken,
    ) {
        let (usage, seen) = watch::channel(Usage::default());
        let (usage, panics) = (Arc::new(usage), self.counts.clone());
        let (requests_end, patience, tasks) =
            (stop.clone(), self.limits.reading, self.tasks.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(ConnectInfo(remote));
            let in_progress = InProgress::begin(&usage);
            let (router, stop, counts) = (router.clone(), requests_end.clone(), panics.clone());
            let tasks = tasks.clone();
            async move {
                let answer = answer(router, request.map(Body::new), &counts);
                let response = stop.run_until_cancelled(answer).await.ok_or(Closed)?;
                // The body keeps the request "in progress" until it was sent or given up.
                let body = |body: Body| {
                    let body = sending::watched(body, patience, &stop, &tasks);
                    Body::new(body.map_err(move |cause| {
                        let _until_sent = &in_progress;
                        cause
                    }))
                };
                Ok::<_, Closed>(response.map(body))
            }
        });
        let mut connection = pin!(
            self.builder(peer)
                .serve_connection(TokioIo::new(stream), service)
        );
        let time_is_up = async {
            match peer {
                Peer::Node { .. } => until_idle(seen, &self.limits).await,
                _ => timeout(self.limits.stranger, until_idle(seen, &self.limits))
                    .await
                    .unwrap_or(()),
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = connection.as_mut() => {
                if let Err(cause) = ended {
                    debug!(%remote, %cause, "connection ended");
                }
                return;
            }
            () = time_is_up => {}
            () = shutdown.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = timeout(self.limits.drain, connection) => {}
        }
    }

    fn builder(&self, peer: Peer) -> http2::Builder<Tracked> {
        let streams = match peer {
            Peer::Node { .. } => self.limits.streams,
            _ => self.limits.streams.min(STRANGER_STREAMS),
        };
        let mut builder = http2::Builder::new(Tracked(self.tasks.clone()));
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.ping)
            .keep_alive_timeout(self.limits.ping_reply)
            .max_concurrent_streams(streams)
            .max_send_buf_size(SENDING)
            .max_header_list_size(self.limits.header_bytes);
        builder
    }
}

/// The connection was closed under a request.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed")]
struct Closed;

/// Runs request tasks so that shutdown waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.spawn(request);
    }
}

/// Counts one request as in progress until it is dropped.
struct InProgress(Arc<watch::Sender<Usage>>);

impl InProgress {
    fn begin(usage: &Arc<watch::Sender<Usage>>) -> Self {
        usage.send_modify(|usage| {
            *usage = Usage {
                active: usage.active + 1,
                any_yet: true,
            }
        });
        Self(usage.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.send_modify(|usage| usage.active -= 1);
    }
}

/// Ends when there was no request in progress for too long.
async fn until_idle(mut usage: watch::Receiver<Usage>, limits: &AcceptLimits) {
    loop {
        let now = *usage.borrow_and_update();
        let patience = match now {
            Usage { active: 1.., .. } => Duration::MAX,
            Usage { any_yet: true, .. } => limits.idle,
            Usage { any_yet: false, .. } => limits.first_request,
        };
        // Also when the sender is gone: then no request can come any more.
        if !matches!(timeout(patience, usage.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The router's answer; a panic in a handler becomes a 500 for this request only.
async fn answer(router: Router, request: Request<Body>, counts: &AcceptCounts) -> Response<Body> {
    let route = request.uri().path().to_owned();
    let mut handler = pin!(router.oneshot(request));
    let outcome = std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context)))
            .map_or(Poll::Ready(None), |poll| {
                poll.map(|result: Result<_, Infallible>| result.ok())
            })
    });
    if let Some(response) = outcome.await {
        return response;
    }
    counts.panics.fetch_add(1, Ordering::Relaxed);
    error!(
        route,
        "a request handler panicked; the node goes on, please report the lines above"
    );
    let mut response = Response::new(Body::from("internal error; see the log of this node\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

#[cfg(test)]
mod tests;
