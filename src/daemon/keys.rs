//! The key and certificate with which the way up is held, and their renewal while the service runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use nqsync_core::protocol::Renew;

use super::{DaemonError, setup};
use crate::clock::Clock;
use crate::link::transport::{Answering, Request, Transport};
use crate::link::{LinkError, Upstream};
use crate::trust::pin::Pin;
use crate::trust::renewal;
use crate::trust::tls::{ClientTimeouts, ClientTls, ParentPin, log_date_warning};

/// Requests to the pinned parent, under the key that is in use.
#[derive(Clone)]
pub struct Line {
    dir: PathBuf,
    parent: Arc<RwLock<Pin>>,
    clock: Clock,
    waits: ClientTimeouts,
    client: Arc<RwLock<reqwest::Client>>,
}

impl Transport for Line {
    fn send(&self, request: Request) -> Answering<'_> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        let client = client.clone();
        Box::pin(async move { client.send(request).await })
    }
}

impl Line {
    /// A line under the key in `dir`; `None` before this node has enrolled.
    pub fn open(
        dir: PathBuf,
        parent: Pin,
        clock: Clock,
        waits: ClientTimeouts,
    ) -> Result<Option<Line>, DaemonError> {
        let Some(held) = renewal::held(&dir).map_err(setup::trust)? else {
            return Ok(None);
        };
        let client = Arc::new(RwLock::new(client(held, parent, &clock, &waits)?));
        Ok(Some(Line {
            dir,
            parent: Arc::new(RwLock::new(parent)),
            clock,
            waits,
            client,
        }))
    }

    /// Renews what is due after a greeting. `true`: the line is under another key or certificate now, and a session has to
    /// be opened with it.
    pub async fn renew(&self, upstream: &Upstream) -> Result<bool, LinkError> {
        let fresh = match upstream.renewal_wanted() {
            Some(Renew::Key) => true,
            Some(Renew::Certificate) => false,
            None if renewal::is_begun(&self.dir) => false,
            None => return Ok(false),
        };
        let csr = renewal::asked_for(&self.dir, fresh).and_then(|key| key.csr_pem());
        let pem = upstream.certify(csr.map_err(local)?).await?;
        renewal::take(&self.dir, &pem).map_err(local)?;
        self.connect_anew()?;
        tracing::info!(fresh, "the certificate for the parent was renewed");
        Ok(true)
    }

    /// The parent does not know the key in use: takes the other one that is here, if there is one.
    pub fn change_key(&self) -> Result<bool, LinkError> {
        let changed = renewal::change_key(&self.dir).map_err(local)?;
        if changed {
            tracing::warn!("the parent does not know this node's key; trying the other one it has");
            self.connect_anew()?;
        }
        Ok(changed)
    }

    /// The parent has another authority now: the next connection is made to that one alone.
    pub fn pin(&self, parent: Pin) -> Result<(), LinkError> {
        *self.parent.write().unwrap_or_else(PoisonError::into_inner) = parent;
        self.connect_anew()
    }

    fn connect_anew(&self) -> Result<(), LinkError> {
        let held = renewal::held(&self.dir).map_err(local)?;
        let held = held.ok_or_else(|| local("the certificate has gone"))?;
        let parent = *self.parent.read().unwrap_or_else(PoisonError::into_inner);
        let client = client(held, parent, &self.clock, &self.waits).map_err(local)?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }
}

fn client(
    (chain, key): renewal::Held,
    parent: Pin,
    clock: &Clock,
    waits: &ClientTimeouts,
) -> Result<reqwest::Client, DaemonError> {
    ClientTls::new(
        Some((chain, &key)),
        ParentPin(parent),
        setup::trust_clock(clock),
        Arc::new(log_date_warning),
    )
    .and_then(|tls| tls.http_client(waits))
    .map_err(setup::trust)
}

fn local(error: impl std::fmt::Display) -> LinkError {
    LinkError::Keys(error.to_string())
}
