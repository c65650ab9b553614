//! Figures for a collector (`/metrics`, OpenMetrics text) and health for whoever restarts services (`/healthz`, `/readyz`).
//!
//! Every figure is read off the answer of `status` when it is asked for, so that the two cannot disagree. Units are named
//! by their code; no title, name or text of a record is in it.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::service::Service;
use crate::api::{Command, Lang, Request};
use crate::config::Metrics;
use crate::server::local;

/// What the collector is told it reads.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Number = Gauge<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// Opens the figures. Answers the address.
pub async fn start(
    service: Service,
    config: &Metrics,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(&config.address).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(service);
    tasks.spawn(local::serve(listener, router, stop.clone()));
    Ok(address)
}

/// The process answers.
async fn alive() -> &'static str {
    "ok\n"
}

/// The store can be read, and is whole: work may be sent here.
async fn ready(State(service): State<Service>) -> Response {
    match status(&service).await {
        Some(_) if service.node.store.damage().is_none() => "ready\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store is damaged\n").into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store cannot be read\n",
        )
            .into_response(),
    }
}

async fn metrics(State(service): State<Service>) -> Response {
    let Some(status) = status(&service).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let mut text = String::new();
    match encode(&mut text, &registry(&status)) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(service: &Service) -> Option<Value> {
    let request = Request {
        request_id: Uuid::new_v4().to_string(),
        lang: Lang::En,
        person: "metrics".to_owned(),
        asker: Default::default(),
        acting_for: None,
        command: Command::Status,
    };
    service.execute(request).await.ok().map(|a| a.data)
}

/// Figures that have no label: name, meaning, and where `status` has them.
const PLAIN: [(&str, &str, &str); 18] = [
    ("healthy", "1 when status finds nothing wrong", "/healthy"),
    ("records", "Records in the store", "/records"),
    ("conflicts", "Fields with two or more values", "/conflicts"),
    (
        "quarantined_here",
        "Records of neighbours set aside here",
        "/quarantine/here",
    ),
    (
        "quarantined_at_peers",
        "Records of this node set aside at neighbours",
        "/quarantine/at_peers",
    ),
    (
        "held_records",
        "Records in mass changes that wait for a person",
        "/holds/records",
    ),
    (
        "open_proposals",
        "Requests that wait for an answer here",
        "/proposals_open",
    ),
    (
        "files_present",
        "Evidence files that are here",
        "/blobs/present",
    ),
    (
        "files_missing",
        "Evidence files that ought to be here and are not",
        "/blobs/missing",
    ),
    (
        "files_waiting",
        "Evidence files that wait to go up",
        "/blobs/pending_up",
    ),
    ("files_bytes", "Bytes of evidence files", "/blobs/bytes"),
    (
        "bundles_waiting",
        "Bundles taken in that wait for one before them",
        "/bundles/waiting",
    ),
    (
        "disk_free_bytes",
        "Free bytes on the disk",
        "/disk/free_bytes",
    ),
    ("disk_total_bytes", "Bytes of the disk", "/disk/total_bytes"),
    (
        "only_here_records",
        "Records that no other node has",
        "/backup/only_here",
    ),
    (
        "backup_last_timestamp_seconds",
        "When a backup was last made",
        "/backup/last_at",
    ),
    (
        "upstream_last_success_timestamp_seconds",
        "When an exchange with the parent last went through",
        "/upstream/last_success_at",
    ),
    (
        "upstream_pending_records",
        "Records that wait to go up",
        "/upstream/pending_up",
    ),
];

/// Figures of each node below: name, meaning, and where `status` has them.
const CHILD: [(&str, &str, &str); 5] = [
    (
        "child_last_contact_timestamp_seconds",
        "When a node below was last heard",
        "/last_contact_at",
    ),
    (
        "child_pending_records",
        "Records that wait to go down",
        "/pending",
    ),
    (
        "child_quarantined_records",
        "Records between the two that were set aside",
        "/quarantined",
    ),
    (
        "child_clock_offset_milliseconds",
        "How far the clock of a node below is ahead",
        "/clock_offset_ms",
    ),
    (
        "child_certificate_until_timestamp_seconds",
        "Until when the certificate of a node below is valid",
        "/certificate_until",
    ),
];

/// All figures of one answer of `status`. A figure that is not known is absent, never 0.
fn registry(status: &Value) -> Registry {
    let mut registry = Registry::with_prefix("nqsync");
    for (name, help, path) in PLAIN {
        if let Some(value) = status.pointer(path).and_then(number) {
            let gauge = Number::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    }
    let items =
        |name: &str| -> Vec<&Value> { status[name].as_array().into_iter().flatten().collect() };
    let children = items("downstream");
    let of_child = |child: &Value| vec![("unit", text(child, "unit"))];
    for (name, help, path) in CHILD {
        let known = children
            .iter()
            .filter_map(|child| Some((of_child(child), child.pointer(path).and_then(number)?)));
        family(&mut registry, name, help, known);
    }
    let up = children.iter().map(|child| {
        let heard = matches!(child["state"].as_str(), Some("ok" | "carried"));
        (of_child(child), f64::from(heard))
    });
    family(
        &mut registry,
        "child_up",
        "1 while a node below is heard",
        up,
    );
    let upstream = &status["upstream"];
    let up = (!upstream.is_null()).then(|| (Vec::new(), f64::from(upstream["state"] == "ok")));
    let help = "1 when the last exchange with the parent went through";
    family(&mut registry, "upstream_up", help, up);
    let problems = items("problems").into_iter();
    let problems = problems.map(|problem| (vec![("code", text(problem, "code"))], 1.0));
    family(
        &mut registry,
        "problem",
        "Something is wrong, by its code",
        problems,
    );
    let adapters = items("adapters").into_iter().map(|adapter| {
        let done = f64::from(adapter["outcome"] == "done");
        (vec![("adapter", text(adapter, "name"))], done)
    });
    let help = "1 when the last run of an adapter did everything";
    family(&mut registry, "adapter_ok", help, adapters);
    let build = vec![("version", text(status, "version"))];
    family(&mut registry, "build", "This program", [(build, 1.0)]);
    registry
}

fn family(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, f64)>,
) {
    let family = Family::<Labels, Number>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// A figure as a number: counts, yes and no, instants as seconds since 1970.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(*yes)),
        Value::String(text) => {
            let at: Timestamp = text.parse().ok()?;
            Some(at.as_millisecond() as f64 / 1000.0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: &Value) -> String {
        let mut text = String::new();
        encode(&mut text, &registry(status)).expect("it can be written");
        text
    }

    #[test]
    fn what_is_not_known_is_absent_and_never_zero() {
        let text =
            told(&json!({ "healthy": false, "upstream": null, "backup": { "last_at": null } }));
        assert!(text.contains("nqsync_healthy 0"), "{text}");
        assert!(!text.contains("nqsync_upstream_up 0"), "{text}");
        assert!(!text.contains("nqsync_backup_last"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn children_and_problems_are_told_by_code() {
        let text = told(&json!({
            "version": "1.2.3",
            "upstream": { "state": "down", "last_success_at": "1970-01-01T00:01:00Z", "pending_up": 3 },
            "downstream": [
                { "unit": "24001", "name": "Xã Bí Mật", "state": "silent", "pending": 2, "clock_offset_ms": -5 },
            ],
            "problems": [{ "code": "disk_full", "message": "not for here" }],
        }));
        for line in [
            "nqsync_upstream_up 0.0",
            "nqsync_upstream_last_success_timestamp_seconds 60.0",
            "nqsync_upstream_pending_records 3.0",
            "nqsync_child_up{unit=\"24001\"} 0.0",
            "nqsync_child_clock_offset_milliseconds{unit=\"24001\"} -5.0",
            "nqsync_problem{code=\"disk_full\"} 1.0",
            "nqsync_build{version=\"1.2.3\"} 1.0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(
            !text.contains("Bí Mật") && !text.contains("not for here"),
            "{text}"
        );
    }
}
