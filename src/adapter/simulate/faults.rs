//! What a simulator can be told to do wrong.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use http_body_util::channel::Channel;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A fault. It stays until another one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Everything works.
    #[default]
    None,
    /// Lists are empty.
    Empty,
    /// Lists lack their second half.
    Shrunken,
    /// The second page is left out.
    PageMissing,
    /// Every page is the first one.
    PageTwice,
    /// Records come in another order on every page.
    Reordered,
    /// Two records have one id.
    IdTwice,
    /// The second page answers 500.
    ErrorInTheMiddle,
    /// Every other request is told to come back later.
    RateLimit,
    /// Answers 200 with an error inside.
    ErrorInside,
    /// Answers a web page.
    Html,
    /// Answers without end.
    Endless,
    /// Sends one byte and then nothing.
    Silent,
    /// Redirects to another host.
    Redirect,
    /// Echoes the login in its errors.
    EchoSecret,
    /// Tokens run out after a few requests.
    TokenExpires,
    /// Fields have other names.
    SchemaChanged,
    /// Writes are carried out, and the connection is cut before the answer.
    CutAfterWrite,
    /// Does not answer at all.
    Down,
}

impl Fault {
    /// What the fault answers in place of the system, whatever was asked; `None`: the request goes on. `count`: number of
    /// this request.
    pub(super) fn answer(self, count: usize, headers: &HeaderMap) -> Option<Response> {
        Some(match self {
            Fault::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Fault::Html => axum::response::Html("<h1>Đăng nhập</h1>").into_response(),
            Fault::ErrorInside => {
                Json(json!({ "error_code": 17, "message": "hỏng" })).into_response()
            }
            Fault::Endless => endless(),
            Fault::Silent => silent(),
            Fault::Redirect => Redirect::temporary("http://127.0.0.1:9/items").into_response(),
            Fault::EchoSecret => {
                let sent: Vec<&str> = headers
                    .values()
                    .filter_map(|value| value.to_str().ok())
                    .collect();
                let text = format!("bad request of {}", sent.join(" "));
                (StatusCode::BAD_REQUEST, text).into_response()
            }
            Fault::RateLimit if count % 2 == 1 => {
                let wait = [(header::RETRY_AFTER, "0")];
                (StatusCode::TOO_MANY_REQUESTS, wait).into_response()
            }
            _ => return None,
        })
    }
}

fn endless() -> Response {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        let chunk = Bytes::from_static(&[b' '; 65_536]);
        while sender.send(Frame::data(chunk.clone())).await.is_ok() {}
    });
    Response::new(Body::new(body))
}

/// One byte, and then nothing for as long as somebody waits.
fn silent() -> Response {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        let _ = sender.send(Frame::data(Bytes::from_static(b"["))).await;
        std::future::pending::<()>().await;
    });
    Response::new(Body::new(body))
}

/// An answer that is cut before its body.
pub(super) fn cut() -> Response {
    let (sender, body) = Channel::<Bytes, std::io::Error>::new(2);
    sender.abort(std::io::Error::other("cut"));
    Response::new(Body::new(body))
}
