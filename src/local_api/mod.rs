//! The local API: what commands do, for programs on this machine, as HTTP and JSON.
//!
//! One table ([`table`]) says which request is which verb of the command contract; the routes and the OpenAPI
//! document are both made from it, so that neither can have what the other has not. Nothing is decided here that a node
//! decides, and who may ask for what stands in [`crate::api::roles`].
//!
//! There are two ways in. Who can open the control socket owns the files of the node and may ask for everything here. Over
//! TCP, on a loopback address and only if the configuration says so, a token is needed for all but the document.
//!
//! Deliberately absent: cookies, and answers to pages of other sites. A browser cannot be made to send our header.

pub mod answers;
mod asked;
mod call;
mod document;
mod door;
mod events;
mod files;
mod keys;
mod operations;
mod problem;
mod table;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::Response;
use axum::routing::{MethodFilter, get, on};
use axum::{Json, Router, middleware};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::daemon::service::Service;
use crate::node::tries::Minute;
use crate::server::local;
use keys::Keys;
use table::OPERATIONS;

pub use document::document;

/// Programs that listen to events at the same time; each holds a connection.
const LISTENERS: usize = 32;

/// What all requests share.
pub struct LocalApi {
    service: Service,
    way: Way,
    refused: Mutex<Minute>,
    listeners: Arc<Semaphore>,
    keys: Keys,
    stop: CancellationToken,
}

/// How a request comes in.
enum Way {
    /// Over the control socket.
    Socket,
    /// Over TCP, under one of these host names.
    Loopback(Vec<String>),
}

impl LocalApi {
    fn new(service: Service, way: Way, stop: &CancellationToken) -> Arc<LocalApi> {
        Arc::new(LocalApi {
            service,
            way,
            refused: Mutex::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            keys: Keys::default(),
            stop: stop.clone(),
        })
    }

    /// For those who can open the control socket.
    pub fn on_socket(service: Service, stop: &CancellationToken) -> Arc<LocalApi> {
        LocalApi::new(service, Way::Socket, stop)
    }

    fn now_ms(&self) -> i64 {
        self.service.node.clock.now_ms()
    }
}

/// Opens it over TCP. Answers the address.
pub async fn start(
    service: Service,
    config: &config::Api,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(&config.address).await?;
    let address = listener.local_addr()?;
    let hosts = vec![address.ip().to_string(), "localhost".to_owned()];
    let api = LocalApi::new(service, Way::Loopback(hosts), stop);
    tasks.spawn(local::serve(listener, router(api), stop.clone()));
    Ok(address)
}

/// All addresses.
pub fn router(api: Arc<LocalApi>) -> Router {
    let mut router = Router::new().route("/openapi.json", get(openapi));
    for operation in OPERATIONS.iter() {
        // What is in the table is a method that HTTP knows.
        let Ok(filter) = MethodFilter::try_from(operation.method.clone()) else {
            continue;
        };
        let answer = move |State(api): State<Arc<LocalApi>>, request| async move {
            call::answer(&api, operation, request).await
        };
        router = router.route(operation.path, on(filter, answer));
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_way)
        .layer(middleware::from_fn_with_state(api.clone(), door::guard))
        .with_state(api)
}

async fn openapi() -> Json<Value> {
    Json(document())
}

async fn nothing_here(request: axum::extract::Request) -> Response {
    problem::not_found(door::lang(request.headers()))
}

async fn not_that_way(request: axum::extract::Request) -> Response {
    problem::not_allowed(door::lang(request.headers()))
}
