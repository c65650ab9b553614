//! Outside systems to train on: real servers on loopback, with a small memory and faults on demand.
//!
//! What is behind `/_control` belongs to the training and not to the system: there the data is looked at, a record is
//! edited as on the system's own page, and a fault is set.

mod exchange;
mod faults;
mod mailbox;
mod outline;
mod police;
mod records;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use exchange::{Exchange, sample_directive};
pub use faults::Fault;
pub use mailbox::{Mail, MailFault, Mailbox};
pub use outline::Outline;
pub use police::{IMPORT_FORM, Mission, Police};
pub use records::systems::TRACKER;
pub use records::{Auth, Collection, Envelope, Paging, Records, System};

use crate::clock::Clock;

/// The session of the outline to train on.
const OUTLINE_TOKEN: &str = "demo";

/// The gateway of the document exchange.
pub const EXCHANGE: &str = "eoffice";
/// Those that are no HTTP servers: a tracker beside two folders, and a mailbox.
pub const FOLDERS: &str = "nq57";
/// See [`FOLDERS`].
pub const MAIL: &str = "email-report";

/// A system to train on.
#[derive(Clone)]
pub enum Simulator {
    /// One that holds records.
    Records(Records),
    /// The outline of a national tracker.
    Outline(Outline),
}

/// Names of the HTTP servers that `adapter simulate` knows: each is also the folder of a profile under `adapters/`.
pub fn names() -> Vec<&'static str> {
    let records = records::systems::ALL.iter().map(|system| system.name);
    records.chain(["theodoinq"]).collect()
}

/// The system with this name, as it is at the beginning.
pub fn named(name: &str, clock: Clock) -> Option<Simulator> {
    if name == "theodoinq" {
        let outline = Outline::new(Outline::sample(), OUTLINE_TOKEN);
        return Some(Simulator::Outline(outline));
    }
    let mut all = records::systems::ALL.iter();
    let system = all.find(|system| system.name == name)?;
    Some(Simulator::Records(Records::new(*system, clock)))
}

impl Simulator {
    /// Its routes.
    pub fn router(&self) -> Router {
        match self {
            Simulator::Records(records) => records.router(),
            Simulator::Outline(outline) => outline.router(),
        }
    }

    /// Sets a fault.
    pub fn fail(&self, fault: Fault) {
        match self {
            Simulator::Records(records) => records.fail(fault),
            Simulator::Outline(outline) => outline.fail(fault),
        }
    }

    /// Path below its address where `http.base_url` begins.
    pub fn base(&self) -> &'static str {
        match self {
            Simulator::Records(_) => "",
            Simulator::Outline(_) => "/report_api",
        }
    }

    /// What belongs into the secret files of its profile: ending of the file, and content.
    pub fn secrets(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            Simulator::Records(records) => records.system().secrets(),
            Simulator::Outline(_) => vec![("token", OUTLINE_TOKEN)],
        }
    }

    /// Who may log in, where that is asked.
    pub fn users(&self) -> &'static [&'static str] {
        match self {
            Simulator::Records(records) => records.system().users,
            Simulator::Outline(_) => &[],
        }
    }
}

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
