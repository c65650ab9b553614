//! A mail server that takes everything and sends nothing on.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Largest message taken, in bytes.
const LARGEST: usize = 64 << 20;

/// One message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// The message as it was sent.
    pub text: String,
    /// Whether the line was protected.
    pub protected: bool,
}

/// What it does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailFault {
    /// Nothing.
    #[default]
    None,
    /// Takes the message and breaks the line before it says so.
    BreaksAfter,
    /// Never answers.
    Silent,
    /// Takes no message from this sender.
    Refuses,
    /// Is busy.
    Busy,
}

/// The server. Clones share one memory.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    user: String,
    password: String,
    tls: Option<TlsAcceptor>,
    memory: Mutex<(Vec<Mail>, MailFault)>,
}

impl Mailbox {
    /// An empty mailbox behind a login. `tls`: its certificate and key, for STARTTLS.
    pub fn new(
        user: &str,
        password: &str,
        tls: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> io::Result<Mailbox> {
        let acceptor = tls.map(|(certificate, key)| {
            let config = ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key);
            config.map(|config| TlsAcceptor::from(Arc::new(config)))
        });
        Ok(Mailbox(Arc::new(Inner {
            user: user.to_owned(),
            password: password.to_owned(),
            tls: acceptor.transpose().map_err(io::Error::other)?,
            memory: Mutex::default(),
        })))
    }

    /// What was taken.
    pub fn mails(&self) -> Vec<Mail> {
        self.memory().0.clone()
    }

    /// Sets a fault.
    pub fn fail(&self, fault: MailFault) {
        self.memory().1 = fault;
    }

    fn memory(&self) -> MutexGuard<'_, (Vec<Mail>, MailFault)> {
        let memory = &self.0.memory;
        memory
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Serves until told to stop. Port 0: any free one; the address is answered.
    pub async fn serve(&self, port: u16, stop: CancellationToken) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let mailbox = self.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                if let Ok((stream, _)) = stream {
                    let mailbox = mailbox.clone();
                    tokio::spawn(async move {
                        // A client that breaks off is its own affair.
                        if let Err(error) = mailbox.converse(stream).await {
                            tracing::debug!(%error, "a mail client broke off");
                        }
                    });
                }
            }
        });
        Ok(address)
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut plain = BufReader::new(stream);
        plain.write_all(b"220 mailbox ESMTP\r\n").await?;
        if self.session(&mut plain, false).await? != Next::Protect {
            return Ok(());
        }
        let Some(acceptor) = &self.0.tls else {
            return Ok(());
        };
        let mut protected = BufReader::new(acceptor.accept(plain.into_inner()).await?);
        self.session(&mut protected, true).await?;
        Ok(())
    }

    async fn session<S>(&self, line: &mut BufReader<S>, protected: bool) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut known, mut from, mut to) = (false, String::new(), Vec::new());
        loop {
            let mut said = String::new();
            if line.read_line(&mut said).await? == 0 {
                return Ok(Next::End);
            }
            let fault = self.memory().1;
            if fault == MailFault::Silent {
                std::future::pending::<()>().await;
            }
            let said = said.trim_end();
            let verb = said
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" if self.0.tls.is_some() && !protected => {
                    "250-mailbox\r\n250 STARTTLS".to_owned()
                }
                "EHLO" => "250-mailbox\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN".to_owned(),
                "STARTTLS" => {
                    line.write_all(b"220 ready\r\n").await?;
                    return Ok(Next::Protect);
                }
                "AUTH" => {
                    let given = said.split_whitespace().nth(2).unwrap_or_default();
                    let wanted = format!("\0{}\0{}", self.0.user, self.0.password);
                    known = given == STANDARD.encode(wanted);
                    match known {
                        true => "235 welcome".to_owned(),
                        false => "535 unknown".to_owned(),
                    }
                }
                "QUIT" => {
                    line.write_all(b"221 bye\r\n").await?;
                    return Ok(Next::End);
                }
                _ if !known => "530 log in first".to_owned(),
                "MAIL" if fault == MailFault::Refuses => "550 not from you".to_owned(),
                "MAIL" if fault == MailFault::Busy => "451 later".to_owned(),
                "MAIL" => {
                    from = address(said);
                    to.clear();
                    "250 ok".to_owned()
                }
                "RCPT" => {
                    to.push(address(said));
                    "250 ok".to_owned()
                }
                "DATA" => {
                    line.write_all(b"354 go on\r\n").await?;
                    let text = body(line).await?;
                    let (from, to) = (from.clone(), to.clone());
                    let mail = Mail {
                        from,
                        to,
                        text,
                        protected,
                    };
                    self.memory().0.push(mail);
                    if fault == MailFault::BreaksAfter {
                        return Ok(Next::End);
                    }
                    format!("250 taken as {}", self.mails().len())
                }
                "RSET" | "NOOP" => "250 ok".to_owned(),
                _ => "502 not here".to_owned(),
            };
            line.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
    }
}

#[derive(PartialEq)]
enum Next {
    Protect,
    End,
}

/// The address between `<` and `>`.
fn address(said: &str) -> String {
    let inside = said
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}

/// A message up to the line that is only a dot.
async fn body<S: AsyncRead + Unpin>(line: &mut BufReader<S>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut read = String::new();
        if line.read_line(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read == ".\r\n" {
            return Ok(text);
        }
        text.push_str(read.strip_prefix('.').unwrap_or(&read));
        if text.len() > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}
