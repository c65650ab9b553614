//! A node with tasks beside a tracker to exchange with.

use std::path::PathBuf;

use nqsync::adapter::cycle::Mode;
use nqsync::adapter::run::{self, Outcome};
use nqsync::adapter::simulate::{self, Records, System, TRACKER};
use nqsync::api::{Answer, Command, Failure, Lang, ReportFields, ReportRef, Request, TaskFields};
use nqsync::node::commands;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Place;

/// A profile for the training tracker.
pub const PROFILE: &str = r#"
format = 1
title = "Phần mềm tập huấn"
engine = "http"
unit = "BO"

[http]
base_url = "BASE"
[http.limits]
idle_timeout_s = 1
request_timeout_s = 5
tries = 2
answer_bytes = 1000000
[http.auth]
kind = "login"
path = "/login"
user = "minh"
password = { file = "password" }
token = ".data.token"
[http.envelope]
ok = "(.error_code // 0) == 0"
error = ".message"

[dictionary.status]
todo = "not_started"
doing = "in_progress"
done = "completed"

[[stream]]
name = "progress"
kind = "progress"
id = ".id"
version = ".version"
key = { ours = ".task.ref", theirs = ".code" }
[stream.fields]
title = { ours = ".task.title", theirs = ".title", direction = "out" }
status = { theirs = ".state", dictionary = "status" }
percent = { theirs = ".progress", number = "plain" }
result = { theirs = ".note" }
[stream.write]
create = '{code: .key, title: .fields.title, state: (.fields.status // "todo"), progress: (.fields.percent // 0), note: (.fields.result // "")}'
update = '{title: .fields.title, state: (.fields.status // "todo"), progress: (.fields.percent // 0), note: (.fields.result // "")}'
[stream.http]
list = { path = "/items", records = ".data" }
paging = { kind = "page", parameter = "page", limit_parameter = "per_page", limit = 4, total = ".total" }
get = { path = "/items/{id}", records = ".data" }
create = { path = "/items", records = ".data" }
update = { path = "/items/{id}", method = "PATCH", records = ".data" }
"#;

/// The node, the tracker, and what connects them.
pub struct Desk {
    pub place: Place,
    pub tracker: Records,
    stop: CancellationToken,
}

impl Desk {
    /// `tasks` tasks, led by the node's own unit, beside an empty tracker.
    pub async fn new(tasks: usize) -> Desk {
        Desk::beside(TRACKER, tasks).await
    }

    /// The same beside a tracker that differs in something.
    pub async fn beside(system: System, tasks: usize) -> Desk {
        let mut place = Place::ministry("BO").await;
        place.node.settings.program = PathBuf::from(env!("CARGO_BIN_EXE_nqsync"));
        let system = System {
            users: &["minh"],
            secret: "mat-khau-rieng",
            ..system
        };
        let tracker = Records::new(system, place.node.clock.clone());
        let stop = CancellationToken::new();
        let address = simulate::serve(tracker.router(), 0, stop.clone())
            .await
            .expect("a port");
        let desk = Desk {
            place,
            tracker,
            stop,
        };
        desk.profile(&PROFILE.replace("BASE", &format!("http://{address}")));
        desk.secret("mat-khau-rieng");
        for number in 1..=tasks {
            desk.task(number).await;
        }
        desk
    }

    /// Writes the profile.
    pub fn profile(&self, text: &str) {
        let dir = &self.place.node.settings.adapters_dir;
        std::fs::create_dir_all(dir).expect("a folder");
        std::fs::write(dir.join("tracker.toml"), text).expect("a profile");
    }

    /// The profile as it stands.
    pub fn profile_text(&self) -> String {
        let file = self.place.node.settings.adapters_dir.join("tracker.toml");
        std::fs::read_to_string(file).expect("a profile")
    }

    /// Writes the password.
    pub fn secret(&self, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.place.node.settings.adapters_dir.join("password");
        std::fs::write(&file, text).expect("a secret");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// A task of group I.
    pub async fn task(&self, number: usize) {
        let fields = TaskFields {
            group: Some("I".into()),
            number: Some(number.to_string()),
            title: Some(format!("Nhiệm vụ {number}")),
            lead: Some(vec!["BO".into()]),
            ..TaskFields::default()
        };
        self.ask(Command::TaskAdd { fields }).await.expect("a task");
    }

    /// Carries out a verb.
    pub async fn ask(&self, command: Command) -> Result<Answer, Failure> {
        let request = Request {
            request_id: uuid::Uuid::new_v4().to_string(),
            lang: Lang::En,
            person: "hoa".into(),
            asker: Default::default(),
            acting_for: None,
            command,
        };
        commands::execute(&self.place.node, request).await
    }

    /// Submits a report with these values.
    pub async fn report(&self, number: usize, status: &str, percent: &str, result: &str) {
        self.set(number, status, percent, result, true).await;
    }

    /// Writes a report's values and does not submit them.
    pub async fn draft(&self, number: usize, percent: &str, result: &str) {
        self.set(number, "in_progress", percent, result, false)
            .await;
    }

    async fn set(&self, number: usize, status: &str, percent: &str, result: &str, submit: bool) {
        let command = Command::ReportSet {
            report: self.named(number),
            fields: ReportFields {
                status: Some(status.into()),
                percent: Some(percent.into()),
                result: Some(result.into()),
                ..ReportFields::default()
            },
            token: None,
            submit,
        };
        self.ask(command).await.expect("a report");
    }

    /// A report with everything about it.
    pub async fn shown(&self, number: usize) -> Value {
        let report = self.named(number);
        self.ask(Command::ReportShow { report })
            .await
            .expect("a report")
            .data
    }

    /// What stands in a field's open conflict; nothing: there is none.
    pub async fn voices(&self) -> (String, Vec<Value>) {
        let list = self.ask(Command::ConflictList).await.expect("a list").data;
        let id = list["items"][0]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if id.is_empty() {
            return (id, Vec::new());
        }
        let show = Command::ConflictShow {
            conflict: id.clone(),
        };
        let shown = self.ask(show).await.expect("a conflict").data;
        let siblings = shown["siblings"].as_array().expect("siblings").iter();
        (id, siblings.map(|s| s["value"].clone()).collect())
    }

    /// Submits a report as it stands.
    pub async fn submit(&self, number: usize) {
        let report = self.named(number);
        let submitted = self.ask(Command::ReportSubmit { report }).await;
        submitted.expect("a submission");
    }

    /// Adds a file with this name and content to a report.
    pub async fn evidence(&self, number: usize, name: &str, bytes: &[u8]) {
        let path = self.place.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let command = Command::EvidenceAdd {
            report: self.named(number),
            path: path.to_str().expect("a path").to_owned(),
            note: None,
        };
        self.ask(command).await.expect("evidence");
    }

    fn named(&self, number: usize) -> ReportRef {
        ReportRef {
            task: format!("I/{number}"),
            unit: None,
            period: None,
        }
    }

    /// Runs the adapter.
    pub async fn run(&self) -> Outcome {
        self.run_as(Mode::default()).await
    }

    /// Runs the adapter in a mode.
    pub async fn run_as(&self, mode: Mode) -> Outcome {
        let node = &self.place.node;
        run::run(node, "tracker", mode, Lang::En)
            .await
            .expect("a run that begins")
    }

    /// Runs the adapter, which must do what it has to without a problem.
    pub async fn run_well(&self) -> Value {
        let outcome = self.run().await;
        let data = outcome.data(Lang::En, "tracker", Mode::default());
        assert_eq!(outcome.word(), "done", "{data:#}");
        data["streams"]["progress"].clone()
    }

    /// The tracker's records by our key.
    pub fn there(&self, number: usize) -> Vec<Value> {
        let key = json!(format!("I/{number}"));
        self.tracker
            .items()
            .into_iter()
            .filter(|item| item["code"] == key)
            .collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
