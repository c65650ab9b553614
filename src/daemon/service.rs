//! What the running service does for those who ask it, over the control socket and at the console.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::uplink::{Cut, Handle, Synced};
use super::verify;
use crate::adapter;
use crate::api::{Command, Outcome, Request};
use crate::link::Report;
use crate::node::Node;
use crate::node::login::{self, Logins};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    /// The node it serves.
    pub node: Node,
    /// Who logs in, wherever they do.
    pub logins: Arc<Logins>,
    uplink: Option<Handle>,
}

/// An exchange that was asked for.
pub struct Exchange {
    answered: oneshot::Receiver<Result<Synced, Cut>>,
    progress: watch::Receiver<Report>,
}

/// What an exchange that goes on tells next.
pub enum Step {
    /// How far it is.
    Progress(Report),
    /// It ended; `None`: it was cut, and goes on by itself when the line is back.
    Ended(Option<Result<Synced, Cut>>),
}

impl Exchange {
    /// Waits for what it tells next. After its end there is nothing more to wait for.
    pub async fn next(&mut self) -> Step {
        tokio::select! {
            result = &mut self.answered => Step::Ended(result.ok()),
            Ok(()) = self.progress.changed() => Step::Progress(self.progress.borrow_and_update().clone()),
        }
    }
}

impl Service {
    /// The service of a node, with its way up if it has one.
    pub fn new(node: &Node, uplink: Option<Handle>) -> Service {
        Service {
            node: node.clone(),
            logins: Arc::default(),
            uplink,
        }
    }

    /// Carries a verb out.
    pub async fn execute(&self, request: Request) -> Outcome {
        let request = login::prove(&self.node, &self.logins, request).await?;
        match (&request.command, &self.uplink) {
            (
                Command::Verify {
                    local: false,
                    repair,
                },
                Some(uplink),
            ) => verify::with_parent(&self.node, uplink, &request, *repair).await,
            _ => adapter::verbs::execute(&self.node, request).await,
        }
    }

    /// Whether there is a way up at all.
    pub fn has_upstream(&self) -> bool {
        self.uplink.is_some()
    }

    /// Asks for an exchange with the parent now. `None`: there is no way up, or it is being closed.
    pub async fn exchange(&self) -> Option<Exchange> {
        let uplink = self.uplink.as_ref()?;
        let (answer, answered) = oneshot::channel();
        uplink.wishes.send(answer).await.ok()?;
        Some(Exchange {
            answered,
            progress: uplink.progress.clone(),
        })
    }
}
