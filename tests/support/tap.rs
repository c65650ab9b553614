//! A line between two real processes that tells what passes on it, and keeps back what comes down when asked to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// What happens to bytes that come down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// They go on.
    Pass,
    /// They wait until this changes.
    Hold,
    /// They are lost, and with them the connection.
    Lose,
    /// The same, and the connection is reset and not closed.
    Reset,
}

/// A tapped line; nobody is let in any more once it is dropped.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    target: Option<SocketAddr>,
    passed: Passed,
    down: Down,
    cut_at: Option<u64>,
    ended: bool,
}

/// Bytes that passed so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub up: u64,
    pub down: u64,
    /// Came down, whether they went on or not.
    pub read: u64,
}

impl Tap {
    /// A line that leads nowhere yet: whoever connects waits until it does.
    pub fn new() -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            target: None,
            passed: Passed::default(),
            down: Down::Pass,
            cut_at: None,
            ended: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let own = shared.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if own.lock().ended {
                    return;
                }
                let own = own.clone();
                thread::spawn(move || own.connection(near));
            }
        });
        Tap { address, shared }
    }

    /// Where one connects.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where the line leads from now on; `None`: connections wait.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.shared.change(|state| state.target = target);
    }

    /// What becomes of bytes that come down from now on.
    pub fn down(&self, down: Down) {
        self.shared.change(|state| state.down = down);
    }

    /// The connection is cut when so many bytes have gone up since the beginning, neither more nor less.
    pub fn cut_at(&self, bytes: Option<u64>) {
        self.shared.change(|state| state.cut_at = bytes);
    }

    /// What has passed so far.
    pub fn passed(&self) -> Passed {
        self.shared.lock().passed
    }

    /// Waits until what has passed is as wanted; false when that takes longer than `most`.
    pub fn wait(&self, most: Duration, wanted: impl Fn(Passed) -> bool) -> bool {
        let end = Instant::now() + most;
        let mut state = self.shared.lock();
        while !wanted(state.passed) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .expect("no thread of a line panics")
                .0;
        }
        true
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        // The listener wakes up, sees that it is over, and ends.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of a line panics")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn until<T>(&self, ready: impl Fn(&State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(found) = ready(&state) {
                return Some(found);
            }
            state = self
                .changed
                .wait(state)
                .expect("no thread of a line panics");
        }
    }

    fn connection(self: Arc<Self>, near: TcpStream) {
        let Some(far) = self.until(|state| state.target) else {
            return;
        };
        let Ok(far) = TcpStream::connect(far) else {
            return;
        };
        let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
            return;
        };
        let own = self.clone();
        let up = thread::spawn(move || {
            pump(near_too, far_too, |count, send| {
                let state = own.lock();
                let left = state.cut_at.map(|at| at.saturating_sub(state.passed.up));
                drop(state);
                let passes = left.map_or(count, |left| left.min(count));
                send(passes as usize);
                own.change(|state| state.passed.up += passes);
                passes == count
            });
        });
        let near_again = near.try_clone();
        pump(far, near, |count, send| {
            self.change(|state| state.passed.read += count);
            let down = self.until(|state| (state.down != Down::Hold).then_some(state.down));
            if let (Some(Down::Reset), Ok(near)) = (down, &near_again) {
                // Closed with this, a connection is reset.
                let now = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(near, now).expect("a socket");
            }
            if down != Some(Down::Pass) {
                return false;
            }
            send(count as usize);
            self.change(|state| state.passed.down += count);
            true
        });
        // It ends by itself: both sockets are shut down.
        let _ = up.join();
    }
}

/// Hands every piece to `pass` with the way to send it on; ends with the connection, or when `pass` says so.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    mut pass: impl FnMut(u64, &mut dyn FnMut(usize)) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut sent = true;
        if !pass(count as u64, &mut |bytes| {
            sent = to.write_all(&buffer[..bytes]).is_ok()
        }) || !sent
        {
            break;
        }
    }
    // One side that is gone takes the other with it, as with a process that was killed.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
