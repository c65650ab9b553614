//! Outside systems to train on: real servers on loopback, with a small memory and faults on demand.
//!
//! What is behind `/_control` belongs to the training and not to the system: there the data is looked at, a record is
//! edited as on the system's own page, and a fault is set.

mod faults;
mod outline;
mod tracker;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use faults::Fault;
pub use outline::Outline;
pub use tracker::{Paging, Tracker};

/// Names that `adapter simulate` knows.
pub const NAMES: [&str; 2] = ["tracker", "theodoinq"];

/// Serves a simulator until told to stop. Port 0: any free one; the address is answered.
pub async fn serve(
    router: Router,
    port: u16,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the simulator failed");
        }
    });
    Ok(address)
}
