//! The running service, and the port that it listens on.

use std::io::ErrorKind;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;

use super::Doctor;
use crate::daemon::setup::UPSTREAM_CERTIFICATE;

/// How long the own service, or a port of this machine, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Greatest answer that is read.
const ANSWER_BYTES: usize = 64 << 10;

impl Doctor<'_> {
    /// Whether a service runs.
    pub(super) async fn service(&mut self) -> bool {
        let socket = self.config.node.socket.clone();
        let shown = socket.display().to_string();
        let at = ("socket", shown.as_str());
        let stream = match timeout(PATIENCE, UnixStream::connect(&socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == ErrorKind::PermissionDenied => {
                self.fault("service", "socket-denied", &[at]);
                return false;
            }
            Ok(Err(_)) => {
                self.stopped();
                return false;
            }
            Err(_) => {
                self.fault("service", "service-silent", &[at]);
                return true;
            }
        };
        let ours = env!("CARGO_PKG_VERSION");
        match timeout(PATIENCE, version_of(stream)).await {
            Ok(Some(theirs)) if theirs == ours => {
                self.well("service", "doctor-service-ok", &[("version", ours)]);
            }
            Ok(Some(theirs)) => {
                let args = [("running", theirs.as_str()), ("program", ours)];
                self.warn("service", "other-version-runs", &args);
            }
            _ => self.fault("service", "service-silent", &[at]),
        }
        true
    }

    /// A node without neighbours works without a service; one with them does not.
    fn stopped(&mut self) {
        let enrolled = self
            .config
            .node
            .data_dir
            .join(UPSTREAM_CERTIFICATE)
            .exists();
        if enrolled || self.config.listen.is_some() {
            self.fault("service", "service-stopped", &[]);
        } else {
            self.well("service", "doctor-service-not-needed", &[]);
        }
    }

    /// The port for the nodes below: free for the service that is to start, or held by the one that runs.
    pub(super) async fn port(&mut self, runs: bool) {
        let Some(listen) = &self.config.listen else {
            return;
        };
        let address = listen.address.clone();
        let at = ("address", address.as_str());
        // A port of the system's choice is known to the service alone.
        if address.ends_with(":0") {
            return;
        }
        if runs {
            let connected = timeout(PATIENCE, TcpStream::connect(&reachable(&address))).await;
            return match connected {
                Ok(Ok(_)) => self.well("port", "doctor-port-ok", &[at]),
                _ => self.fault("port", "port-closed", &[at]),
            };
        }
        match TcpListener::bind(&address).await {
            Ok(_) => self.well("port", "doctor-port-free", &[at]),
            Err(error) => {
                let code = match error.kind() {
                    ErrorKind::AddrInUse => "port-in-use",
                    ErrorKind::PermissionDenied => "port-denied",
                    _ => "port-not-here",
                };
                self.fault("port", code, &[at, ("reason", &error.to_string())]);
            }
        }
    }
}

impl Doctor<'_> {
    /// The doors for people and programs of this machine: each free for the service that is to start, or opened by the one
    /// that runs. The service starts without them, and says so in its log alone.
    pub(super) async fn doors(&mut self, runs: bool) {
        let config = self.config;
        let doors = [
            ("console", config.console.as_ref().map(|c| &c.address)),
            ("api", config.api.as_ref().map(|a| &a.address)),
            ("metrics", config.metrics.as_ref().map(|m| &m.address)),
        ];
        for (section, address) in doors {
            let Some(address) = address.filter(|address| !address.ends_with(":0")) else {
                continue;
            };
            let at = [("section", section), ("address", address.as_str())];
            let open = timeout(PATIENCE, TcpStream::connect(address)).await;
            match (runs, open.is_ok_and(|open| open.is_ok())) {
                (true, true) => self.well("port", "doctor-door-ok", &at),
                (true, false) => self.fault("port", "door-closed", &at),
                (false, true) => self.fault("port", "door-taken", &at),
                (false, false) => self.well("port", "doctor-door-free", &at),
            }
        }
    }
}

/// An address that means every interface is reached by the loopback one.
fn reachable(address: &str) -> String {
    address
        .replace("0.0.0.0:", "127.0.0.1:")
        .replace("[::]:", "[::1]:")
}

/// The version that the service says it is.
async fn version_of(stream: UnixStream) -> Option<String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = hyper::Request::get("/v1/health").header("host", "localhost");
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    let answer = sender.send_request(request).await.ok()?.into_body();
    let body = Limited::new(answer, ANSWER_BYTES).collect().await.ok()?;
    let health: Value = serde_json::from_slice(&body.to_bytes()).ok()?;
    health["version"].as_str().map(str::to_owned)
}
