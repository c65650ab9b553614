//! A relay between child and parent that counts what passes, and a gate in it, so that a run begins when we say so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What passed since the last reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// Bytes from child to parent.
    pub up: u64,
    /// Bytes from parent to child.
    pub down: u64,
    /// How often the child spoke after the parent had: requests, as far as can be seen through TLS.
    pub turns: u64,
}

impl Passed {
    /// Both directions.
    pub fn bytes(&self) -> u64 {
        self.up + self.down
    }
}

/// The relay. It lives as long as the process.
pub struct Relay {
    state: Arc<State>,
    /// Where the child connects to.
    pub port: u16,
}

#[derive(Default)]
struct State {
    up: AtomicU64,
    down: AtomicU64,
    turns: AtomicU64,
    parent_spoke: AtomicBool,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Relay {
    /// A relay to a port of this machine.
    pub fn to(target: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for child in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || connection(&state, child, target));
            }
        });
        Relay { state, port }
    }

    /// Lets connections through, or holds new ones back.
    pub fn set_open(&self, open: bool) {
        *self.state.open.lock().expect("no panic") = open;
        self.state.opened.notify_all();
    }

    /// Begins counting anew.
    pub fn reset(&self) {
        self.state.up.store(0, Ordering::SeqCst);
        self.state.down.store(0, Ordering::SeqCst);
        self.state.turns.store(0, Ordering::SeqCst);
        self.state.parent_spoke.store(true, Ordering::SeqCst);
    }

    /// What passed since the last reset.
    pub fn passed(&self) -> Passed {
        Passed {
            up: self.state.up.load(Ordering::SeqCst),
            down: self.state.down.load(Ordering::SeqCst),
            turns: self.state.turns.load(Ordering::SeqCst),
        }
    }
}

fn connection(state: &Arc<State>, child: TcpStream, target: u16) {
    let mut open = state.open.lock().expect("no panic");
    while !*open {
        open = state.opened.wait(open).expect("no panic");
    }
    drop(open);
    // A parent that is not running: the child sees the line break.
    let Ok(parent) = TcpStream::connect(("127.0.0.1", target)) else {
        return;
    };
    let _ = (child.set_nodelay(true), parent.set_nodelay(true));
    let (Ok(from_child), Ok(to_child)) = (child.try_clone(), child.try_clone()) else {
        return;
    };
    let Ok(from_parent) = parent.try_clone() else {
        return;
    };
    let downward = state.clone();
    thread::spawn(move || {
        copy(from_parent, to_child, |bytes| {
            downward.down.fetch_add(bytes, Ordering::SeqCst);
            downward.parent_spoke.store(true, Ordering::SeqCst);
        });
    });
    copy(from_child, parent, |bytes| {
        state.up.fetch_add(bytes, Ordering::SeqCst);
        if state.parent_spoke.swap(false, Ordering::SeqCst) {
            state.turns.fetch_add(1, Ordering::SeqCst);
        }
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 {
            break;
        }
        count(length as u64);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Whichever side ended first, the other one learns it.
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
