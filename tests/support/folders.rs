//! A node with a shipped profile that works through folders or by mail.

use std::path::PathBuf;

use nqsync::adapter::cycle::Mode;
use nqsync::adapter::run::{self, Outcome};
use nqsync::adapter::template::{self, Draft};
use nqsync::adapter::verbs;
use nqsync::api::{Command, Lang, ReportFields, ReportRef, Request, TaskFields};
use serde_json::Value;

use super::Place;

/// The node, and the name of its adapter.
pub struct Office {
    pub place: Place,
    pub name: &'static str,
}

impl Office {
    /// The profile of a template for a unit `24001` with `tasks` tasks of its own; `set` changes keys of it.
    pub async fn new(name: &'static str, tasks: usize, set: &[(&str, &str)]) -> Office {
        let mut place = Place::ministry("24001").await;
        place.node.settings.program = PathBuf::from(env!("CARGO_BIN_EXE_nqsync"));
        let template = template::find(name).expect("a template");
        let mut draft = Draft::begin(template, name).expect("a draft");
        for (path, text) in set {
            draft.set(path, text).expect("a key");
        }
        let adapters = &place.node.settings.adapters_dir;
        std::fs::create_dir_all(adapters).expect("a folder");
        std::fs::write(adapters.join(format!("{name}.toml")), draft.text()).expect("a profile");
        let office = Office { place, name };
        for number in 1..=tasks {
            office.task(number).await;
        }
        office
    }

    /// A folder in the data directory.
    pub fn folder(&self, below: &str) -> PathBuf {
        let path = self.place.node.store.dir().join(below);
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// The names of the files in a folder of the data directory, without what does not end in the ending.
    pub fn files(&self, below: &str, ending: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder(below)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("a name"));
        let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort();
        names
    }

    pub async fn task(&self, number: usize) {
        let fields = TaskFields {
            group: Some("I".into()),
            number: Some(number.to_string()),
            title: Some(format!("Nhiệm vụ {number}")),
            lead: Some(vec!["24001".into()]),
            ..TaskFields::default()
        };
        self.ask(Command::TaskAdd { fields }).await;
    }

    /// Carries out a verb that must succeed.
    pub async fn ask(&self, command: Command) -> Value {
        let request = Request {
            request_id: uuid::Uuid::new_v4().to_string(),
            lang: Lang::En,
            person: "hoa".into(),
            asker: Default::default(),
            acting_for: None,
            command,
        };
        let answer = verbs::execute(&self.place.node, request).await;
        answer.expect("an answer").data
    }

    pub async fn report(&self, number: usize, percent: &str, result: &str) {
        let command = Command::ReportSet {
            report: named(number),
            fields: ReportFields {
                status: Some("in_progress".into()),
                percent: Some(percent.into()),
                result: Some(result.into()),
                ..ReportFields::default()
            },
            token: None,
            submit: false,
        };
        self.ask(command).await;
    }

    pub async fn shown(&self, number: usize) -> Value {
        let report = named(number);
        self.ask(Command::ReportShow { report }).await
    }

    pub async fn run(&self) -> Outcome {
        let node = &self.place.node;
        let run = run::run(node, self.name, Mode::default(), Lang::En).await;
        run.expect("a run that begins")
    }

    /// Runs; answers what each stream did. It must end with this word.
    pub async fn ran(&self, word: &str) -> Value {
        let outcome = self.run().await;
        let data = outcome.data(Lang::En, self.name, Mode::default());
        assert_eq!(outcome.word(), word, "{data:#}");
        data["streams"].clone()
    }
}

fn named(number: usize) -> ReportRef {
    ReportRef {
        task: format!("I/{number}"),
        unit: None,
        period: None,
    }
}
