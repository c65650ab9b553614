//! The console: pages for the people at one node, made on the server, without a script that they need.
//!
//! Every page asks the node by the verbs of the command contract and shows the answer; nothing is decided here that a
//! node decides. Who may ask for what stands in [`crate::api::roles`].
//!
//! Deliberately absent: TLS. The address is a loopback one; a web server in front of it speaks TLS to an office.

mod ask;
mod door;
mod form;
mod page;
mod pages;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Lang;
use crate::config;
use crate::daemon::service::Service;
use crate::server::local;
use crate::text::shown::Shown;
use page::Pages;
use session::Sessions;

/// What all pages share.
pub struct Console {
    service: Service,
    sessions: Sessions,
    pages: Pages,
    zone: TimeZone,
    /// Host names under which a browser may ask.
    hosts: Vec<String>,
    running: pages::sync::Running,
}

impl Console {
    fn shown(&self, lang: Lang) -> Shown {
        Shown {
            lang,
            zone: self.zone.clone(),
        }
    }

    fn now_ms(&self) -> i64 {
        self.service.node.clock.now_ms()
    }
}

/// Opens the pages. Answers the address.
pub async fn start(
    service: Service,
    config: &config::Console,
    zone: &TimeZone,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(&config.address).await?;
    let address = listener.local_addr()?;
    let mut hosts: Vec<String> = config.names.iter().map(|n| n.to_lowercase()).collect();
    hosts.push(address.ip().to_string());
    let console = Arc::new(Console {
        service,
        sessions: Sessions::new(config.idle_logout_s.0),
        pages: Pages::new(zone),
        zone: zone.clone(),
        hosts,
        running: pages::sync::Running::default(),
    });
    let router = pages::router(console);
    tasks.spawn(local::serve(listener, router, stop.clone()));
    Ok(address)
}
