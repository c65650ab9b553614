//! The accept loop of what only this machine can open, the console, the local API and the metrics: plain HTTP/1, few
//! connections.
//!
//! Invariant: nobody keeps a connection by silence. The header of a request, its body and the taking of an answer each
//! have a deadline, or a few hundred connections that say nothing would close the console to everybody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Browsers and the web server in front of them; further connections wait in the system's queue.
const CONNECTIONS: usize = 256;
/// Greatest header of a request, in bytes.
const HEADER_BYTES: usize = 64 * 1024;
/// How long requests in progress may go on after a shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a body that give its sender one more second: the thinnest line, 64 kbit/s.
const BYTES_A_SECOND: u32 = 8 * 1024;

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For the header of a request, and longest silence between two.
    header: Duration,
    /// For the body of a request, beside the time that its bytes take on a thin line.
    body: Duration,
    /// Longest time in which nothing of an answer is taken.
    reading: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            header: Duration::from_secs(60),
            body: Duration::from_secs(60),
            reading: Duration::from_secs(60),
        }
    }
}

/// Serves until told to stop.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_with(Patience::default(), listener, router, stop).await;
}

async fn serve_with(
    patience: Patience,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let permit = slots.clone().acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        let (Ok(permit), accepted) = accepted else {
            break;
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a local connection; trying again");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE))
                    .await;
                continue;
            }
        };
        let service = router
            .clone()
            .map_request(move |request: Request<Incoming>| {
                request.map(|body| Body::new(InTime::new(body, patience.body)))
            });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.header)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(
                TokioIo::new(Taken::new(stream, patience.reading)),
                TowerToHyperService::new(service),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a local connection ended");
            }
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// A request's body that must come in time.
///
/// Only waiting for the sender counts, not what the program does between two pieces; and each piece gives the time that it
/// takes on a thin line, so that a great file has hours and a single byte has none.
struct InTime {
    inner: Incoming,
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// A body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request came too slowly")]
struct TooSlow;

impl InTime {
    fn new(inner: Incoming, patience: Duration) -> InTime {
        InTime {
            inner,
            left: patience,
            waiting: None,
        }
    }
}

impl hyper::body::Body for InTime {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            let left = this.left;
            let (_, deadline) = this
                .waiting
                .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
        };
        if let Some((since, _)) = this.waiting.take() {
            this.left = this.left.saturating_sub(since.elapsed());
        }
        let frame = frame.map(|frame| frame.map_err(axum::Error::new));
        if let Some(Ok(data)) = frame.as_ref().map(|f| f.as_ref().map(Frame::data_ref)) {
            let bytes = data.map_or(0, |data| u32::try_from(data.len()).unwrap_or(u32::MAX));
            this.left += Duration::from_secs(1) * bytes / BYTES_A_SECOND;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A connection that breaks when nothing of what is written to it is taken for too long.
struct Taken {
    stream: TcpStream,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Taken {
    fn new(stream: TcpStream, patience: Duration) -> Taken {
        Taken {
            stream,
            patience,
            waiting: None,
        }
    }

    /// What came of writing; a wait for the reader has its deadline.
    fn in_time<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.in_time(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    /// Long enough never to pass in a test.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);
    const NONE: Patience = Patience {
        header: LONG,
        body: LONG,
        reading: LONG,
    };

    struct Served {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        served: JoinHandle<()>,
    }

    impl Served {
        async fn with(patience: Patience) -> Served {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let router = Router::new()
                .route("/form", post(async |body: Bytes| body.len().to_string()))
                .route("/page", get(async || "x".repeat(100_000)));
            let stop = CancellationToken::new();
            let served = tokio::spawn(serve_with(patience, listener, router, stop.clone()));
            Served {
                address,
                stop,
                served,
            }
        }

        async fn connect(&self, request: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.expect("connected");
            stream.write_all(request.as_bytes()).await.expect("sent");
            stream
        }

        async fn end(self) {
            self.stop.cancel();
            self.served.await.expect("no panic");
        }
    }

    fn form(length: usize) -> String {
        format!("POST /form HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
    }

    /// All that comes until the other side closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let read = timeout(LONG / 6, stream.read_to_end(&mut all)).await;
        // Closed under bytes that were not read, it is reset.
        let _ = read.expect("the connection is closed");
        String::from_utf8_lossy(&all).into_owned()
    }

    #[tokio::test]
    async fn who_begins_a_form_and_says_no_more_is_cut_off_also_when_bytes_trickle() {
        let body = SHORT;
        let served = Served::with(Patience { body, ..NONE }).await;
        let mut silent = served.connect(&(form(100) + "n")).await;
        let answer = rest(&mut silent).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

        let mut trickling = served.connect(&form(100)).await;
        let begun = Instant::now();
        let (mut reader, mut writer) = trickling.split();
        let trickle = async {
            while writer.write_all(b"n").await.is_ok() {
                sleep(SHORT / 6).await;
            }
        };
        let mut answer = [0; 12];
        let read = timeout(LONG / 6, reader.read_exact(&mut answer));
        tokio::select! {
            read = read => drop(read.expect("in time").expect("an answer")),
            () = trickle => {}
        }
        assert!(begun.elapsed() < SHORT * 6, "{:?}", begun.elapsed());
        served.end().await;
    }

    #[tokio::test]
    async fn a_body_has_the_time_that_its_bytes_take_on_a_thin_line() {
        let served = Served::with(Patience {
            body: SHORT,
            ..NONE
        })
        .await;
        let piece = "n".repeat(BYTES_A_SECOND as usize);
        let mut stream = served.connect(&(form(5 * piece.len()))).await;
        for _ in 0..5 {
            stream.write_all(piece.as_bytes()).await.expect("sent");
            sleep(SHORT * 2 / 3).await;
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
        served.end().await;
    }

    #[tokio::test]
    async fn who_asks_and_never_reads_is_cut_off() {
        let reading = SHORT;
        let served = Served::with(Patience { reading, ..NONE }).await;
        let page = "GET /page HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut stream = served.connect("").await;
        let asked = timeout(LONG / 6, async {
            // More than any buffer between the two holds.
            while stream.write_all(page.repeat(100).as_bytes()).await.is_ok() {}
        });
        asked.await.expect("the connection is closed");
        served.end().await;
    }

    #[tokio::test]
    async fn a_reader_that_is_slow_but_reads_has_the_whole_answer() {
        let reading = SHORT;
        let served = Served::with(Patience { reading, ..NONE }).await;
        let page = "GET /page HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
        let mut stream = served.connect(&page).await;
        let (mut all, mut buffer) = (0, vec![0; 1 << 20]);
        while all < 100 * 100_000 {
            let read = stream.read(&mut buffer).await.expect("still open");
            assert!(read > 0, "closed after {all} bytes");
            all += read;
            sleep(SHORT / 30).await;
        }
        served.end().await;
    }

    #[tokio::test]
    async fn who_connects_and_says_nothing_is_cut_off() {
        let header = SHORT;
        let served = Served::with(Patience { header, ..NONE }).await;
        for said in ["", "GET /page HTT"] {
            let mut stream = served.connect(said).await;
            rest(&mut stream).await;
        }
        served.end().await;
    }
}
