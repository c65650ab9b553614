//! A line that can be cut: a relay between a commune and its parent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The line. Its threads end with the process.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    up: AtomicBool,
    bytes: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// A line to `target` (`host:port`), on a port the system chooses.
    pub fn to(target: &str) -> std::io::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            up: AtomicBool::new(true),
            bytes: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                for client in listener.incoming().flatten() {
                    accepting.carry(client);
                }
            })?;
        Ok(Relay { address, shared })
    }

    /// Where the near end is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes carried so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Cuts the line: open connections break, new ones are refused.
    pub fn cut(&self) {
        self.shared.up.store(false, Ordering::SeqCst);
        for stream in self.shared.streams().drain(..) {
            // An end that is gone already is what a cut is for.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The line is back.
    pub fn restore(&self) {
        self.shared.up.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(self: &Arc<Self>, client: TcpStream) {
        if !self.up.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.target) else {
            return;
        };
        // Small answers must not wait for each other.
        let _ = client.set_nodelay(true).and(server.set_nodelay(true));
        let ends = [
            (client.try_clone(), server.try_clone()),
            (server.try_clone(), client.try_clone()),
        ];
        self.streams().extend([client, server]);
        for (from, to) in ends {
            if let (Ok(from), Ok(to)) = (from, to) {
                let shared = self.clone();
                thread::spawn(move || shared.copy(from, to));
            }
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
