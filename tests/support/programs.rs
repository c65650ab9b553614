//! Programs that use the local API of a service.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::machine::{Machine, Service};

pub const API: &str = "api.address=127.0.0.1:0";

/// A ministry that runs, with a commune that it serves itself and some tasks of it.
pub struct Office {
    pub machine: Machine,
    pub service: Option<Service>,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Seen {
    #[track_caller]
    pub fn expect(self, status: u16) -> Seen {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Office {
    pub fn new() -> Office {
        let machine = Machine::ministry("BO");
        let service = machine.serve_with(&[API]);
        let add = ["unit", "add", "24001", "Xã mẫu", "--level", "commune"];
        machine.run(&add).expect(0);
        for number in ["11", "12", "13", "14"] {
            let title = format!("Việc {number}");
            let line = [
                "task",
                "add",
                "--group",
                "III",
                "--number",
                number,
                "--title",
                &title,
                "--lead",
                "24001",
                "--deadline",
                "2026-12-31",
            ];
            machine.run(&line).expect(0);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Office {
            machine,
            service: Some(service),
            runtime,
            client: reqwest::Client::new(),
        }
    }

    pub fn address(&self) -> String {
        let log = fs::read_to_string(self.machine.at("log")).expect("a log");
        let (_, rest) = log
            .rsplit_once("the local API is open url=http://")
            .expect("it says where");
        let address = rest.split_whitespace().next().expect("an address");
        address.trim_end_matches('/').to_owned()
    }

    /// The secret of a new token.
    pub fn token(&self, name: &str, role: &str) -> String {
        let line = ["token", "new", name, "--role", role, "--json"];
        let made = self.machine.run(&line).expect(0).json();
        made["token"].as_str().expect("a secret").to_owned()
    }

    /// Two people write into one field, each without having seen the other.
    pub fn conflict(&self) {
        let set = |result: &str, more: &[&str]| {
            let line = [
                "report", "set", "III/14", "--unit", "24001", "--for", "24001",
            ];
            let said = ["--result", result, "--json"];
            let ran = self.machine.run(&[&line[..], &said, more].concat());
            ran.expect(0).json()["token"]
                .as_str()
                .expect("a mark")
                .to_owned()
        };
        let mark = set("trước", &[]);
        set("một", &["--token", &mark]);
        set("hai", &["--token", &mark]);
    }

    pub fn ask(
        &self,
        line: &str,
        token: Option<&str>,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Seen {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let url = format!("http://{}{path}", self.address());
        let mut request = self.client.request(method.parse().expect("a method"), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let more = more.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        let request = request.headers(more.collect());
        self.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            Seen {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                text: response.text().await.expect("a body"),
            }
        })
    }
}

/// Asks over the control socket, which knows no limit on tries.
pub fn over_socket(office: &Office, line: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let socket = office.machine.at("control.sock");
    let output = Command::new("curl")
        .args([
            "-s",
            "--max-time",
            "1",
            "-w",
            "%{stderr}%{http_code}",
            "-X",
            method,
            "--unix-socket",
        ])
        .arg(socket)
        .arg(format!("http://localhost{path}"))
        .output()
        .expect("curl");
    let status = String::from_utf8_lossy(&output.stderr).parse().unwrap_or(0);
    (
        status,
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
    )
}

/// A program that listens.
pub struct Listener {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Listener {
    pub fn new(office: &Office, token: &str, after: Option<&str>) -> Listener {
        let mut command = Command::new("curl");
        command.args(["-sN", "--max-time", "60", "-H"]);
        command.arg(format!("Authorization: Bearer {token}"));
        if let Some(after) = after {
            command.args(["-H", &format!("Last-Event-ID: {after}")]);
        }
        let url = format!("http://{}/v1/events", office.address());
        let mut child = command
            .arg(url)
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let lines = BufReader::new(child.stdout.take().expect("what it reads")).lines();
        Listener { child, lines }
    }

    /// The next event: its word and its data; `None`: it was ended.
    pub fn next(&mut self) -> Option<(String, Value)> {
        let mut word = String::new();
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some(said) = line.strip_prefix("event: ") {
                word = said.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                return Some((word, data));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
