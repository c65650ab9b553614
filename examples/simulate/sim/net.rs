//! The network between the nodes: it loses, doubles, delays, carries one way only, and sees machines die in the middle of
//! a request. What it carries goes into the real endpoints of the parent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use nqsync::link::transport::{Answering, Broken, Request, Transport};
use nqsync::trust::tls::Peer;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Response;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::faults::Fault;

/// How a line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes.
    Both,
    /// Requests arrive and are worked on; no answer returns.
    Answers,
}

/// Who dies in the middle of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// The parent, after it has worked on the request and before anybody hears of it.
    Parent,
    /// The child, with the answer heard and nothing of it noted.
    Child,
}

/// How often messages suffer, each from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Lost, on the way there or back.
    pub loss: f64,
    /// Twice.
    pub dup: f64,
    /// Once more, later.
    pub delay: f64,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            loss: 0.06,
            dup: 0.1,
            delay: 0.05,
        }
    }
}

/// A request that arrives once more, on a later day.
struct Late {
    day: u32,
    child: usize,
    request: Request,
}

/// What the network is asked to do, and what it did.
struct State {
    rng: StdRng,
    faults: Vec<Fault>,
    raging: bool,
    rates: Rates,
    day: u32,
    ports: Vec<Option<Router>>,
    lines: Vec<Line>,
    late: Vec<Late>,
    doom: Option<(u32, Doom)>,
    fallen: Option<usize>,
    messages: u64,
    counts: BTreeMap<&'static str, u64>,
}

/// One child's line to its parent.
#[derive(Clone, Copy)]
struct Line {
    parent: usize,
    peer: Peer,
    cut: Option<Cut>,
    passes: Option<u32>,
}

/// The network.
pub struct Net {
    state: Mutex<State>,
    death: Notify,
}

/// What happens to one request.
struct Fate {
    lost: bool,
    twice: bool,
    answer_lost: bool,
    doom: Option<Doom>,
}

impl Net {
    /// A network for so many nodes.
    pub fn new(seed: u64, nodes: usize, faults: &[Fault]) -> Arc<Net> {
        let nowhere = Line {
            parent: 0,
            peer: Peer::Anonymous,
            cut: None,
            passes: None,
        };
        Arc::new(Net {
            state: Mutex::new(State {
                rng: StdRng::seed_from_u64(seed ^ 0x006e_6574),
                faults: faults.to_vec(),
                raging: false,
                rates: Rates::default(),
                day: 0,
                ports: vec![None; nodes],
                lines: vec![nowhere; nodes],
                late: Vec::new(),
                doom: None,
                fallen: None,
                messages: 0,
                counts: BTreeMap::new(),
            }),
            death: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is reachable, or not any more.
    pub fn plug(&self, node: usize, port: Option<Router>) {
        self.state().ports[node] = port;
    }

    /// A child is known to its parent by this key.
    pub fn lay(&self, child: usize, parent: usize, peer: Peer) {
        self.state().lines[child] = Line {
            parent,
            peer,
            cut: None,
            passes: None,
        };
    }

    /// A line is cut, or whole again.
    pub fn cut(&self, child: usize, cut: Option<Cut>) {
        let line = &mut self.state().lines[child];
        (line.cut, line.passes) = (cut, None);
    }

    /// A line is cut when so many more messages have passed.
    pub fn cut_after(&self, child: usize, messages: u32) {
        self.state().lines[child].passes = Some(messages);
    }

    /// How often messages suffer.
    pub fn set_rates(&self, rates: Rates) {
        self.state().rates = rates;
    }

    /// Whether faults happen to messages from now on.
    pub fn rage(&self, raging: bool) {
        self.state().raging = raging;
    }

    /// The day.
    pub fn set_day(&self, day: u32) {
        self.state().day = day;
    }

    /// Somebody dies at the n-th message from now.
    pub fn doom(&self, doom: Option<(u32, Doom)>) {
        self.state().doom = doom;
    }

    /// The parent that fell in the middle of a request, if one did.
    pub fn take_fallen(&self) -> Option<usize> {
        self.state().fallen.take()
    }

    /// Waits until the child of the session under way dies.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    /// Requests sent so far, and faults of messages by kind.
    pub fn counts(&self) -> (u64, BTreeMap<&'static str, u64>) {
        let state = self.state();
        (state.messages, state.counts.clone())
    }

    /// Old copies of requests arrive; nobody waits for the answers. Answers how many.
    pub async fn deliver_late(&self, all: bool) -> usize {
        let due: Vec<Late> = {
            let mut state = self.state();
            let (day, late) = (state.day, std::mem::take(&mut state.late));
            let (due, rest) = late.into_iter().partition(|late| all || late.day <= day);
            state.late = rest;
            due
        };
        let count = due.len();
        for late in due {
            // A parent that is off takes nothing.
            let _ = self.deliver(late.child, &late.request).await;
        }
        count
    }

    fn fate(&self, child: usize, request: &Request) -> Fate {
        let mut state = self.state();
        state.messages += 1;
        let mut fate = Fate {
            lost: false,
            twice: false,
            answer_lost: false,
            doom: None,
        };
        let line = &mut state.lines[child];
        if line.passes == Some(0) {
            line.cut = Some(Cut::Both);
        }
        line.passes = line.passes.map(|left| left.saturating_sub(1));
        match line.cut {
            Some(Cut::Both) => fate.lost = true,
            Some(Cut::Answers) => fate.answer_lost = true,
            None => {}
        }
        if let Some((left, doom)) = state.doom {
            state.doom = (left > 0).then(|| (left - 1, doom));
            fate.doom = (left == 0).then_some(doom);
        }
        if !state.raging {
            return fate;
        }
        let rates = state.rates;
        if state.happens(Fault::Loss, rates.loss) {
            if state.rng.random_bool(0.5) {
                fate.lost = true;
            } else {
                fate.answer_lost = true;
            }
        }
        fate.twice = state.happens(Fault::Dup, rates.dup);
        if state.happens(Fault::Delay, rates.delay) {
            let day = state.day + state.rng.random_range(0..=10);
            state.late.push(Late {
                day,
                child,
                request: request.clone(),
            });
        }
        fate
    }

    async fn deliver(&self, child: usize, request: &Request) -> Result<Response, Broken> {
        let (port, peer) = {
            let state = self.state();
            let line = state.lines[child];
            (state.ports[line.parent].clone(), line.peer)
        };
        let Some(port) = port else {
            return Err("the parent is off".into());
        };
        hand_over(port, peer, request).await
    }

    async fn carry(&self, child: usize, request: Request) -> Result<Response, Broken> {
        let fate = self.fate(child, &request);
        if fate.lost {
            return Err("the request was lost".into());
        }
        let answer = self.deliver(child, &request).await?;
        if fate.twice {
            let _ = self.deliver(child, &request).await;
        }
        match fate.doom {
            Some(Doom::Parent) => {
                let mut state = self.state();
                let parent = state.lines[child].parent;
                state.ports[parent] = None;
                state.fallen = Some(parent);
                return Err("the parent fell".into());
            }
            Some(Doom::Child) => {
                self.death.notify_one();
                // Whoever waits for the session drops it here.
                return std::future::pending().await;
            }
            None => {}
        }
        if fate.answer_lost {
            return Err("the answer was lost".into());
        }
        Ok(answer)
    }
}

impl State {
    fn happens(&mut self, fault: Fault, chance: f64) -> bool {
        let happens = self.faults.contains(&fault) && self.rng.random_bool(chance);
        if happens {
            *self.counts.entry(fault.name()).or_default() += 1;
        }
        happens
    }
}

/// Puts a request into a parent's endpoints, as its TLS layer would.
pub async fn hand_over(port: Router, peer: Peer, request: &Request) -> Result<Response, Broken> {
    let path = request.url.trim_start_matches("sim://parent");
    let mut builder = axum::http::Request::builder()
        .method(request.method.clone())
        .uri(path)
        .extension(peer);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let response = port
        .oneshot(builder.body(Body::from(request.body.clone()))?)
        .await?;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Response::from(axum::http::Response::from_parts(
        head, bytes,
    )))
}

/// A child's way to its parent over this network.
pub struct Wire {
    /// The network.
    pub net: Arc<Net>,
    /// Whose line.
    pub child: usize,
}

impl Transport for Wire {
    fn send(&self, request: Request) -> Answering<'_> {
        Box::pin(self.net.carry(self.child, request))
    }
}
