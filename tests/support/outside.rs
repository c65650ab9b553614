//! A node beside the simulator of a shipped profile, driven the same way whatever the system is.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nqsync::adapter::cycle::Mode;
use nqsync::adapter::profile::{self, StreamKind};
use nqsync::adapter::run::{self, Outcome};
use nqsync::adapter::simulate::{self, Outline, Records, Simulator};
use nqsync::adapter::template::{self, Draft};
use nqsync::adapter::verbs;
use nqsync::api::{Answer, Command, Failure, Lang, ReportFields, ReportRef, Request, TaskFields};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Place;

/// What becomes of an edit made in the outside system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// It arrives here.
    Arrives,
    /// Our value is put back.
    Undone,
    /// It stays there, and is told.
    Kept,
}

/// A shipped profile with a simulator, and where its simulator holds what is exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The folder.
    pub name: &'static str,
    /// What the stream under test exchanges.
    pub kind: StreamKind,
    /// Field that carries the key, and what stands in it before the number of an item.
    pub key: (&'static str, &'static str),
    /// Where the exchanged value is.
    pub value: &'static str,
    /// What becomes of an edit there.
    pub back: Back,
    /// Whether an item without a value is there too.
    pub empty_too: bool,
    /// Whether items begin there and not here.
    pub begins_there: bool,
}

/// A profile that exchanges reports on tasks of ours.
const PROGRESS: Case = Case {
    name: "",
    kind: StreamKind::Progress,
    key: ("code", "I/"),
    value: "/note",
    back: Back::Arrives,
    empty_too: true,
    begins_there: false,
};

/// A profile that exchanges figures.
const FIGURES: Case = Case {
    kind: StreamKind::Indicators,
    key: ("indicator", "CT"),
    value: "/value",
    ..PROGRESS
};

/// Every shipped profile that has a simulator.
pub const CASES: &[Case] = &[
    Case {
        name: "ioc",
        back: Back::Undone,
        empty_too: false,
        ..FIGURES
    },
    Case {
        name: "leadership-tasks",
        key: ("number", ""),
        value: "/progress",
        begins_there: true,
        ..PROGRESS
    },
    Case {
        name: "lgsp",
        value: "/result",
        ..PROGRESS
    },
    Case {
        name: "national-reporting",
        key: ("kpi", "CT"),
        value: "/data/value",
        back: Back::Undone,
        empty_too: false,
        ..FIGURES
    },
    Case {
        name: "resolution-tracker",
        value: "/content",
        ..PROGRESS
    },
    Case {
        name: "statistics",
        empty_too: false,
        ..FIGURES
    },
    Case {
        name: "theodoinq",
        kind: StreamKind::Texts,
        back: Back::Kept,
        empty_too: false,
        ..PROGRESS
    },
    Case {
        name: "tracker",
        ..PROGRESS
    },
];

/// The case of a profile.
pub fn case(name: &str) -> Case {
    let found = CASES.iter().find(|case| case.name == name);
    *found.unwrap_or_else(|| panic!("tests/support/outside.rs has no case for {name}"))
}

/// The node, the simulator, and the profile that connects them.
pub struct Bench {
    pub case: Case,
    pub place: Place,
    pub outside: Simulator,
    pub url: String,
    stop: CancellationToken,
}

impl Bench {
    /// The shipped profile beside its simulator, with so many items.
    pub async fn new(case: Case, items: usize) -> Bench {
        let template = template::find(case.name).expect("a template");
        let mut draft = Draft::begin(template, case.name).expect("a draft");
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("profile.toml");
        std::fs::write(&file, draft.text()).expect("a profile");
        let loaded = profile::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let unit = loaded.profile.unit.expect("a unit");

        let mut place = Place::ministry(&unit).await;
        place.node.settings.program = PathBuf::from(env!("CARGO_BIN_EXE_nqsync"));
        let outside = simulate::named(case.name, place.node.clock.clone()).expect("a simulator");
        let stop = CancellationToken::new();
        let address = simulate::serve(outside.router(), 0, stop.clone())
            .await
            .expect("a port");

        let mut set = |path: &str, text: &str| draft.set(path, text).expect("a key");
        let url = format!("http://{address}");
        set("http.base_url", &format!("{url}{}", outside.base()));
        // A system that is down is not waited for.
        set("http.limits.tries", "1");
        // Small pages, so that every listing has several.
        for stream in &loaded.profile.streams {
            if stream
                .http
                .as_ref()
                .is_some_and(|http| http.paging.limit.is_some())
            {
                set(&format!("stream.{}.http.paging.limit", stream.name), "2");
            }
        }
        let adapters = &place.node.settings.adapters_dir;
        std::fs::create_dir_all(adapters).expect("a folder");
        let profile = adapters.join(format!("{}.toml", case.name));
        std::fs::write(profile, draft.text()).expect("a profile");
        for (ending, text) in outside.secrets() {
            let secret = adapters.join(format!("{}.{ending}", case.name));
            std::fs::write(&secret, text).expect("a secret");
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))
                .expect("a mode");
        }
        let bench = Bench {
            case,
            place,
            outside,
            url,
            stop,
        };
        for number in 1..=items {
            bench.begin(number).await;
        }
        bench
    }

    /// The simulator, where it holds records.
    pub fn records(&self) -> &Records {
        match &self.outside {
            Simulator::Records(records) => records,
            Simulator::Outline(_) => panic!("an outline holds no records"),
        }
    }

    fn outline(&self) -> Option<&Outline> {
        match &self.outside {
            Simulator::Outline(outline) => Some(outline),
            Simulator::Records(_) => None,
        }
    }

    /// Carries out a verb for a unit.
    async fn ask(&self, command: Command, acting_for: Option<String>) -> Result<Answer, Failure> {
        let request = Request {
            request_id: uuid::Uuid::new_v4().to_string(),
            lang: Lang::En,
            person: "hoa".into(),
            asker: Default::default(),
            acting_for,
            command,
        };
        verbs::execute(&self.place.node, request).await
    }

    async fn answer(&self, command: Command) -> Value {
        self.ask(command, None).await.expect("an answer").data
    }

    fn home(&self) -> String {
        let shown = self.place.node.store.shown();
        shown.tree.code(shown.unit.expect("a unit"))
    }

    /// The unit that an item is about.
    fn unit(&self, number: usize) -> String {
        match self.case.kind {
            StreamKind::Texts => format!("2400{number}"),
            _ => self.home(),
        }
    }

    fn unit_name(number: usize) -> String {
        format!("Xã Tập huấn {number}")
    }

    /// Begins an item, here or there, without a value.
    pub async fn begin(&self, number: usize) {
        let title = format!("Nhiệm vụ {number}");
        if self.case.begins_there {
            let (field, before) = self.case.key;
            let mut task = json!({ "title": title, "unit": self.home() });
            task[field] = json!(format!("{before}{number}"));
            self.records().add(task);
            return;
        }
        let unit = self.unit(number);
        let command = match self.case.kind {
            StreamKind::Indicators => Command::IndicatorDefine {
                code: format!("CT{number}"),
                name: title,
                measure: Some("hồ sơ".into()),
                over_time: "discrete".into(),
                aggregation: "sum".into(),
                comparator: None,
                target: None,
                units: vec![unit],
            },
            kind => {
                if kind == StreamKind::Texts {
                    let add = Command::UnitAdd {
                        code: unit.clone(),
                        name: Self::unit_name(number),
                        level: Some("commune".into()),
                        parent: None,
                        aliases: vec![],
                    };
                    self.answer(add).await;
                }
                return self.add_task("I", number).await;
            }
        };
        self.answer(command).await;
    }

    /// A task here, led by the unit that the item is about.
    pub async fn add_task(&self, group: &str, number: usize) {
        let fields = TaskFields {
            group: Some(group.into()),
            number: Some(number.to_string()),
            title: Some(format!("Nhiệm vụ {number}")),
            lead: Some(vec![self.unit(number)]),
            ..TaskFields::default()
        };
        self.answer(Command::TaskAdd { fields }).await;
    }

    /// What `adapter show` says.
    pub async fn shown(&self) -> Value {
        let name = self.case.name.to_owned();
        self.answer(Command::AdapterShow { name }).await
    }

    /// A task here.
    pub async fn task(&self, task: &str) -> Value {
        let task = task.to_owned();
        self.answer(Command::TaskShow { task }).await
    }

    /// Gives a task here another title.
    pub async fn retitle(&self, task: &str, title: &str) {
        let command = Command::TaskUpdate {
            task: task.to_owned(),
            fields: TaskFields {
                title: Some(title.into()),
                ..TaskFields::default()
            },
            token: None,
        };
        self.answer(command).await;
    }

    fn report(&self, number: usize) -> ReportRef {
        let group = if self.case.begins_there { "LD" } else { "I" };
        ReportRef {
            task: format!("{group}/{number}"),
            unit: Some(self.unit(number)),
            period: None,
        }
    }

    /// Enters an item's value here. It is a number, so that it fits a text and a figure.
    pub async fn set(&self, number: usize, value: &str) {
        let unit = self.unit(number);
        let command = match self.case.kind {
            StreamKind::Indicators => Command::IndicatorSet {
                indicator: format!("CT{number}"),
                unit: Some(unit.clone()),
                period: None,
                value: Some(value.into()),
                numerator: None,
                denominator: None,
                token: None,
            },
            _ => Command::ReportSet {
                report: self.report(number),
                fields: ReportFields {
                    status: Some("in_progress".into()),
                    percent: Some("5".into()),
                    result: Some(value.into()),
                    ..ReportFields::default()
                },
                token: None,
                submit: true,
            },
        };
        self.ask(command, Some(unit)).await.expect("a value");
    }

    /// An item's value here; empty where it has none.
    pub async fn here(&self, number: usize) -> String {
        let found = match self.case.kind {
            StreamKind::Indicators => {
                let list = Command::IndicatorList {
                    period: None,
                    unit: None,
                };
                let code = json!(format!("CT{number}"));
                let items = self.answer(list).await["items"].clone();
                let items = items.as_array().expect("a list").iter();
                let of_code = items.clone().find(|item| item["code"] == code);
                of_code.expect("the indicator")["values"][0]["value"].clone()
            }
            _ => {
                let report = self.report(number);
                self.answer(Command::ReportShow { report }).await["result"].clone()
            }
        };
        text(&found)
    }

    /// How many items there are here, and how many open conflicts.
    pub async fn count_here(&self) -> (u64, u64) {
        let list = match self.case.kind {
            StreamKind::Indicators => Command::IndicatorList {
                period: None,
                unit: None,
            },
            _ => Command::TaskList {
                unit: None,
                group: None,
                issuer: None,
                unresolved: false,
                period: None,
                narrowed: Default::default(),
            },
        };
        let items = self.answer(list).await;
        let conflicts = self.answer(Command::ConflictList).await;
        let total = |list: &Value| list["total"].as_u64().expect("a total");
        (total(&items), total(&conflicts))
    }

    /// The records of an item in the outside system.
    fn records_of(&self, number: usize) -> Vec<Value> {
        let (field, before) = self.case.key;
        let key = json!(format!("{before}{number}"));
        let items = self.records().items().into_iter();
        items.filter(|item| item[field] == key).collect()
    }

    /// An item's values there, one for each record that it has.
    pub fn there(&self, number: usize) -> Vec<String> {
        let Some(outline) = self.outline() else {
            let records = self.records_of(number);
            let pointer = self.case.value;
            return records
                .iter()
                .map(|record| text(record.pointer(pointer).unwrap_or(&Value::Null)))
                .collect();
        };
        let content = text(&outline.rows()[1]["idxContent"]);
        let heading = format!("<p><strong>{}</strong></p>", Self::unit_name(number));
        let parts = content.split(&heading).skip(1);
        parts
            .map(|part| {
                let body = part.split("<p><strong>").next().unwrap_or_default();
                body.replace("<p>", "").replace("</p>", "")
            })
            .collect()
    }

    /// Edits an item's value as somebody on the system's own page would.
    pub fn edit(&self, number: usize, value: &str) {
        if let Some(outline) = self.outline() {
            let before = self.there(number).pop().expect("a part");
            let heading = format!("<p><strong>{}</strong></p><p>", Self::unit_name(number));
            let content = text(&outline.rows()[1]["idxContent"]);
            let now = content.replace(&format!("{heading}{before}"), &format!("{heading}{value}"));
            assert_ne!(now, content, "{before} is not found in {content}");
            outline.edit(1, json!(now));
            return;
        }
        let record = self.records_of(number).pop().expect("a record");
        let names = self.case.value.trim_start_matches('/').split('/');
        let change = names.rev().fold(json!(value), |inner, name| {
            let mut outer = json!({});
            outer[name] = inner;
            outer
        });
        self.records()
            .edit(record["id"].as_u64().expect("an id"), change);
    }

    /// Approves everything that waits for it there.
    pub fn approve(&self) {
        if let Simulator::Records(records) = &self.outside {
            for item in records.items() {
                records.decide(item["id"].as_u64().expect("an id"), true);
            }
        }
    }

    /// Requests that wrote something there.
    pub fn writes(&self) -> usize {
        match &self.outside {
            Simulator::Records(records) => records.requests().1,
            Simulator::Outline(outline) => outline.puts().0,
        }
    }

    /// Runs the adapter.
    pub async fn run(&self) -> Outcome {
        let node = &self.place.node;
        run::run(node, self.case.name, Mode::default(), Lang::En)
            .await
            .expect("a run that begins")
    }

    /// Runs the adapter, which must do what it has to without a problem.
    pub async fn run_well(&self) -> Value {
        let outcome = self.run().await;
        let data = outcome.data(Lang::En, self.case.name, Mode::default());
        assert_eq!(outcome.word(), "done", "{}: {data:#}", self.case.name);
        data
    }

    /// Nothing is left to be done: a run writes nothing there.
    pub async fn assert_rest(&self, said: &str) {
        let writes = self.writes();
        let outcome = self.run().await;
        let data = outcome.data(Lang::En, self.case.name, Mode::default());
        assert_eq!(
            self.writes(),
            writes,
            "{}, {said}: {data:#}",
            self.case.name
        );
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
