//! How a session asks: one request, one answer within its limits, and what a failure means for the session.

use nqsync_core::protocol::{MAX_SMALL_BODY, PREFIX, Refused, SESSION_HEADER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LinkError, Upstream};
use crate::link::transport::Request;
use crate::store::StoreError;
use crate::trust::tls::pin_mismatch;

impl Upstream {
    pub(super) fn endpoint(&self, name: &str) -> String {
        format!("{}{PREFIX}/{name}", self.inner.url)
    }

    pub(super) fn post(&self, name: &str, body: &impl Serialize) -> Result<Request, StoreError> {
        let request = Request::new(Method::POST, self.endpoint(name));
        // What is said here was made from the store.
        request
            .json(body)
            .map_err(|e| StoreError::Damaged(e.to_string()))
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        body: &impl Serialize,
    ) -> Result<T, LinkError> {
        let request = self.post(name, body)?;
        let response = self.checked(request).await?;
        self.read_json(response).await
    }

    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<T, LinkError> {
        let bytes = self.body(response, 64 * MAX_SMALL_BODY).await?;
        serde_json::from_slice(&bytes).map_err(|e| LinkError::Unreadable(e.to_string()))
    }

    /// Reads a body within a limit.
    pub(super) async fn body(
        &self,
        mut response: Response,
        limit: usize,
    ) -> Result<Vec<u8>, LinkError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.network(&e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(LinkError::Unreadable(format!(
                    "an answer of more than {limit} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    pub(super) async fn raw(&self, request: Request) -> Result<Response, LinkError> {
        let session = self.session().clone();
        let request = match session.is_empty() {
            true => request,
            false => request.header(SESSION_HEADER, session),
        };
        let sent = self.inner.transport.send(request).await;
        sent.map_err(|error| self.network(error.as_ref()))
    }

    pub(super) async fn checked(&self, request: Request) -> Result<Response, LinkError> {
        let response = self.raw(request).await?;
        self.success(response).await
    }

    pub(super) async fn success(&self, response: Response) -> Result<Response, LinkError> {
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    pub(super) async fn refusal(&self, response: Response) -> LinkError {
        let status = response.status();
        let body = self
            .body(response, MAX_SMALL_BODY)
            .await
            .unwrap_or_default();
        let refused: Refused = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Refused::new("http", format!("HTTP status {}", status.as_u16())));
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => LinkError::Busy {
                retry_after_s: refused.retry_after_s.unwrap_or(1),
            },
            StatusCode::CONFLICT => {
                *self.echo() = refused.echo.unwrap_or_default();
                LinkError::Reopen(refused.message)
            }
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY => LinkError::Unreachable {
                url: self.inner.url.clone(),
                detail: refused.message,
            },
            _ => LinkError::Refused {
                code: refused.code,
                message: refused.message,
            },
        }
    }

    pub(super) fn network(&self, error: &(dyn std::error::Error + 'static)) -> LinkError {
        let url = self.inner.url.clone();
        if let Some(mismatch) = pin_mismatch(error) {
            return LinkError::Impostor {
                url,
                detail: mismatch.to_string(),
            };
        }
        LinkError::Unreachable {
            url,
            detail: chain_of(error),
        }
    }
}

/// An error with its causes in one line; the outermost alone says only that a request failed.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
