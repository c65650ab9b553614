//! A line that is slow and breaks: a TCP relay that forwards at a rate and cuts connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes per second, in each direction.
    pub rate: u64,
    /// A connection is cut after about this many bytes upwards (from half to one and a half times as many).
    pub cut_after: Option<u64>,
    /// Decides where exactly the cuts come.
    pub seed: u64,
}

/// A running relay; it ends when dropped.
pub struct Relay {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    _end: DropGuard,
}

#[derive(Default)]
struct Counts {
    up: AtomicU64,
    cuts: AtomicU64,
}

/// Bytes forwarded at once: small, so that the rate is kept and little is under way when a cut comes.
const CHUNK: usize = 16 * 1024;

impl Relay {
    /// Between whoever connects to [`Relay::url`] and the node listening at `url`.
    pub async fn to(url: &str, line: Line) -> Relay {
        let target = url.strip_prefix("https://").expect("https").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (counts, end) = (Arc::new(Counts::default()), CancellationToken::new());
        let shared = counts.clone();
        let stop = end.clone();
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(line.seed);
            while let Some(Ok((near, _))) = stop.run_until_cancelled(listener.accept()).await {
                let Ok(far) = TcpStream::connect(&target).await else {
                    continue;
                };
                let limit = line
                    .cut_after
                    .map(|bytes| rng.random_range(bytes / 2..=bytes + bytes / 2));
                tokio::spawn(connection(
                    near,
                    far,
                    line.rate,
                    limit,
                    shared.clone(),
                    stop.clone(),
                ));
            }
        });
        Relay {
            address,
            counts,
            _end: end.drop_guard(),
        }
    }

    /// A thin line: so many bytes per second, and everything takes `delay` in each direction. Little of what waits for
    /// its turn is held on the way, as in a modem.
    pub async fn slow(url: &str, rate: u64, delay: Duration) -> Relay {
        let target = url.strip_prefix("https://").expect("https").to_owned();
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .set_recv_buffer_size(8 * 1024)
            .expect("a small buffer");
        let any = "127.0.0.1:0".parse().expect("an address");
        socket.bind(any).expect("a port");
        let listener = socket.listen(64).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (counts, end) = (Arc::new(Counts::default()), CancellationToken::new());
        let (shared, stop) = (counts.clone(), end.clone());
        tokio::spawn(async move {
            while let Some(Ok((near, _))) = stop.run_until_cancelled(listener.accept()).await {
                let Ok(far) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                let (stop, counts) = (stop.clone(), shared.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = late(near_in, far_out, rate, delay, Some(counts)) => {}
                        () = late(far_in, near_out, rate, delay, None) => {}
                    }
                });
            }
        });
        Relay {
            address,
            counts,
            _end: end.drop_guard(),
        }
    }

    /// Where the relay listens.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Bytes forwarded upwards so far.
    pub fn bytes_up(&self) -> u64 {
        self.counts.up.load(Ordering::SeqCst)
    }

    /// Connections cut so far.
    pub fn cuts(&self) -> u64 {
        self.counts.cuts.load(Ordering::SeqCst)
    }
}

async fn connection(
    near: TcpStream,
    far: TcpStream,
    rate: u64,
    limit: Option<u64>,
    counts: Arc<Counts>,
    stop: CancellationToken,
) {
    // A cut resets both sides at once, as a modem does that loses its line.
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = stop.cancelled() => {}
        cut = pump(near_in, far_out, rate, limit, Some(&counts)) => {
            counts.cuts.fetch_add(u64::from(cut), Ordering::SeqCst);
        }
        _ = pump(far_in, near_out, rate, None, None) => {}
    }
}

/// Forwards at a rate; what was taken arrives later by `delay`.
async fn late(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rate: u64,
    delay: Duration,
    counts: Option<Arc<Counts>>,
) {
    let (under_way, mut arriving) = tokio::sync::mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let taking = async {
        let mut buffer = vec![0; 1_400];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            // The rate of the line, not a wait for anything.
            sleep_until(Instant::now() + Duration::from_micros(count as u64 * 1_000_000 / rate))
                .await;
            let piece = buffer[..count].to_vec();
            if under_way
                .send((Instant::now() + delay, piece))
                .await
                .is_err()
            {
                return;
            }
        }
    };
    let giving = async {
        while let Some((at, piece)) = arriving.recv().await {
            sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
            if let Some(counts) = &counts {
                counts.up.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    };
    tokio::select! {
        () = taking => {}
        () = giving => {}
    }
}

/// Forwards until the end, or until the limit: then it answers true.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    rate: u64,
    limit: Option<u64>,
    counts: Option<&Counts>,
) -> bool {
    let mut buffer = vec![0; CHUNK];
    let (began, mut done) = (Instant::now(), 0u64);
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        if to.write_all(&buffer[..count]).await.is_err() {
            return false;
        }
        done += count as u64;
        if let Some(counts) = counts {
            counts.up.fetch_add(count as u64, Ordering::SeqCst);
        }
        if limit.is_some_and(|limit| done >= limit) {
            return true;
        }
        // The rate of the line, not a wait for anything.
        sleep_until(began + Duration::from_micros(done * 1_000_000 / rate)).await;
    }
}
