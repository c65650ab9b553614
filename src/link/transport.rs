//! How a request reaches the parent and its answer comes back. The service sends it over TLS; a simulated network loses,
//! doubles and delays it. What is said in a session does not depend on which of them carries it.

use std::error::Error;
use std::pin::Pin;

use reqwest::{Method, Response};
use serde::Serialize;

/// One request, as a plain value.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: String) -> Request {
        Request {
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Request {
        self.headers.push((name, value.to_string()));
        self
    }

    /// With these bytes as body.
    pub fn body(mut self, body: Vec<u8>) -> Request {
        self.body = body;
        self
    }

    /// With this value as body.
    pub fn json(self, value: &impl Serialize) -> serde_json::Result<Request> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }
}

/// Why no answer came back.
pub type Broken = Box<dyn Error + Send + Sync>;

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response, Broken>> + Send + 'a>>;

/// Carries requests to the parent. Every wait in it is bounded.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the head of its answer.
    fn send(&self, request: Request) -> Answering<'_>;
}

impl Transport for reqwest::Client {
    fn send(&self, request: Request) -> Answering<'_> {
        let mut builder = self.request(request.method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sent = builder.body(request.body).send();
        Box::pin(async { Ok(sent.await?) })
    }
}
