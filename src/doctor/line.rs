//! The way to the parent, step by step: its name, the line, the key of what answers, and what it says to us.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use nqsync_core::protocol::{PREFIX, PROTOCOL, Refused};
use reqwest::header::DATE;
use reqwest::{Response, StatusCode, Url};
use serde_json::json;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Doctor;
use crate::config::UpstreamKind;
use crate::daemon::setup;
use crate::link::upstream::chain_of;
use crate::store::queries;
use crate::trust::renewal;
use crate::trust::tls::{ClientTimeouts, ClientTls, ParentPin, pin_mismatch};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A clock that is off by more is told; the same as in `status`.
const CLOCK_OFF_MS: i64 = 10 * 60 * 1000;
/// The steps, in order; what comes after a fault is not looked at.
const STEPS: [&str; 4] = ["name", "line", "identity", "answer"];

impl Doctor<'_> {
    pub(super) async fn line(&mut self) {
        let dir = self.config.node.data_dir.clone();
        // Keys that cannot be used were told already, and a node that has not enrolled has no parent.
        let Ok(Some(held)) = renewal::looked_at(&dir) else {
            return;
        };
        let kept = |key: &str| queries::meta_on_disk(&dir, key);
        let (Ok(kept_url), Ok(kept_pin)) = (kept("upstream_url"), kept("upstream_pin")) else {
            // The store says itself what is wrong with it.
            return self.rest_skipped();
        };
        let upstream = self.config.upstream.as_ref();
        if upstream.is_some_and(|upstream| upstream.kind == UpstreamKind::Bundle) {
            // Where no line may be, nothing is dialled.
            return self.well("line", "doctor-carried", &[]);
        }
        let configured = upstream.map(|upstream| upstream.url.clone());
        let url = configured.filter(|url| !url.is_empty());
        let url = url.or(kept_url);
        let pin = kept_pin.and_then(|text| text.parse().ok());
        let parsed = url.as_deref().and_then(|url| Url::parse(url).ok());
        let host = parsed.as_ref().and_then(|url| {
            let port = url.port_or_known_default()?;
            // An IPv6 address stands in brackets in an address and without them before a resolver.
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            Some((host, port))
        });
        let (Some(url), Some(pin), Some((host, port))) = (url, pin, host) else {
            return self.fault("name", "enrolment-incomplete", &[]);
        };
        if !self.name(&host, port).await || !self.connects(&host, port).await {
            return self.rest_skipped();
        }
        let tls = ClientTls::new(
            Some((held.0, &held.1)),
            ParentPin(pin),
            setup::trust_clock(&self.clock),
            // Dates of certificates never refuse, and the clock is looked at by itself.
            Arc::new(|_| {}),
        );
        let waits = ClientTimeouts {
            connect: PATIENCE,
            read: PATIENCE,
            ..ClientTimeouts::default()
        };
        let client = match tls.and_then(|tls| tls.http_client(&waits)) {
            Ok(client) => client,
            Err(error) => {
                return self.fault("keys", "key-unusable", &[("reason", &error.to_string())]);
            }
        };
        // A greeting that says its version and nothing else: it begins nothing, and is answered by who we are.
        let greeting = client
            .post(format!("{}{PREFIX}/open", url.trim_end_matches('/')))
            .json(&json!({ "protocol": PROTOCOL }));
        match greeting.send().await {
            Ok(answer) => {
                self.well(
                    "identity",
                    "doctor-identity-ok",
                    &[("pin", &pin.to_string())],
                );
                self.answered(answer).await;
            }
            Err(error) => self.not_answered(&url, &error),
        }
        self.rest_skipped();
    }

    async fn name(&mut self, host: &str, port: u16) -> bool {
        let at = ("host", host);
        match timeout(PATIENCE, lookup_host((host, port))).await {
            Ok(Ok(addresses)) => {
                let addresses: Vec<String> = addresses.map(|a| a.ip().to_string()).collect();
                let args = [at, ("addresses", &addresses.join(", "))];
                self.well("name", "doctor-name-ok", &args);
                true
            }
            Ok(Err(error)) => {
                let args = [at, ("reason", &error.to_string())];
                self.fault("name", "name-unknown", &args);
                false
            }
            Err(_) => {
                self.fault("name", "name-unknown", &[at, ("reason", "timeout")]);
                false
            }
        }
    }

    async fn connects(&mut self, host: &str, port: u16) -> bool {
        let shown = format!("{host}:{port}");
        let at = ("address", shown.as_str());
        match timeout(PATIENCE, TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => {
                self.well("line", "doctor-line-ok", &[at]);
                true
            }
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                self.fault("line", "line-refused", &[at]);
                false
            }
            Ok(Err(error)) => {
                self.fault("line", "line-down", &[at, ("reason", &error.to_string())]);
                false
            }
            Err(_) => {
                self.fault("line", "line-silent", &[at]);
                false
            }
        }
    }

    fn not_answered(&mut self, url: &str, error: &reqwest::Error) {
        match pin_mismatch(error) {
            Some(mismatch) => {
                let args = [("url", url), ("detail", &mismatch.to_string())];
                self.fault("identity", "other-parent", &args);
            }
            None => {
                let args = [("url", url), ("reason", &chain_of(error))];
                self.fault("identity", "no-tls", &args);
            }
        }
    }

    async fn answered(&mut self, answer: Response) {
        self.clock_beside(&answer);
        let status = answer.status();
        let body = answer.bytes().await.unwrap_or_default();
        let refused: Option<Refused> = serde_json::from_slice(&body).ok();
        let (code, message) = match &refused {
            Some(refused) => (refused.code.as_str(), refused.message.as_str()),
            None => ("", ""),
        };
        let said = [("message", message)];
        match (status, code) {
            // Everything was in order up to the greeting that we did not finish.
            (StatusCode::BAD_REQUEST, "unreadable") => self.well("answer", "doctor-answer-ok", &[]),
            (_, "version") => self.fault("answer", "version-too-far", &said),
            (_, "revoked" | "unknown_node") => self.fault("answer", "not-on-the-list", &said),
            (StatusCode::FORBIDDEN, _) => self.fault("answer", "parent-refuses", &said),
            _ => {
                let status = status.to_string();
                self.fault(
                    "answer",
                    "parent-ill",
                    &[("status", &status), ("message", message)],
                );
            }
        }
    }

    /// Compares this clock with the parent's, which stands in its answer.
    fn clock_beside(&mut self, answer: &Response) {
        let date = answer.headers().get(DATE);
        let theirs = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let Some(theirs) = theirs else { return };
        let ahead = self.clock.now_ms() - theirs.timestamp().as_millisecond();
        if ahead.abs() > CLOCK_OFF_MS {
            let minutes = (ahead / 60_000).to_string();
            self.warn("clock", "clock-beside-parent", &[("minutes", &minutes)]);
        }
    }

    /// What was not come to.
    fn rest_skipped(&mut self) {
        let reached = |found: &[super::Finding], step: &str| found.iter().any(|f| f.check == step);
        for step in STEPS {
            if !reached(&self.found, step) {
                self.skipped(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Lang;
    use crate::clock::Clock;
    use crate::config;
    use crate::doctor::State;

    /// What is found where a parent answers so.
    async fn found(lang: Lang, status: u16, body: &str) -> crate::doctor::Finding {
        let dir = tempfile::tempdir().expect("room");
        let text = "[node]\nunit = \"24001\"\nlevel = \"commune\"\n";
        let file = dir.path().join("config.toml");
        let loaded = config::read(&file, text, std::iter::empty(), &[]).expect("a configuration");
        let mut doctor = Doctor::new(&loaded.config, Clock::system(), lang);
        let answer = hyper::Response::builder().status(status);
        let answer = answer.body(body.to_owned()).expect("an answer");
        doctor.answered(answer.into()).await;
        doctor.found.remove(0)
    }

    #[tokio::test]
    async fn every_way_in_which_a_parent_refuses_is_told_apart_and_with_what_to_do() {
        for (status, code, expected) in [
            (426, "version", "version_too_far"),
            (403, "revoked", "not_on_the_list"),
            (403, "unknown_node", "not_on_the_list"),
            (403, "branch", "parent_refuses"),
            (500, "store", "parent_ill"),
            (502, "", "parent_ill"),
        ] {
            let body = json!({ "code": code, "message": "lời của cấp trên" }).to_string();
            let mut said = Vec::new();
            for lang in [Lang::Vi, Lang::En] {
                let finding = found(lang, status, &body).await;
                assert_eq!(
                    (finding.code.as_str(), finding.state),
                    (expected, State::Fault)
                );
                assert!(finding.remedy.len() > 15, "{finding:?}");
                said.push(finding.remedy);
            }
            assert_ne!(said[0], said[1], "{code}");
        }
        let well = json!({ "code": "unreadable", "message": "" }).to_string();
        let finding = found(Lang::Vi, 400, &well).await;
        assert_eq!((finding.check, finding.state), ("answer", State::Ok));
        let page = found(Lang::Vi, 200, "<html>").await;
        assert_eq!(page.code, "parent_ill", "something else answers");
    }
}
