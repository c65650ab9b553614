//! Verbs given at a node of a test, as a person would give them.

use nqsync::api::{Answer, Command, Exit, Failure, Lang, Outcome, Request};
use nqsync::node::commands;
use nqsync::node::rollups;
use serde_json::Value;
use uuid::Uuid;

use super::Place;

impl Place {
    /// Gives a verb, for the node's own unit or another one.
    pub async fn ask_for(&self, unit: Option<&str>, command: Command) -> Outcome {
        let request = Request {
            request_id: Uuid::new_v4().to_string(),
            lang: Lang::En,
            person: "An".to_owned(),
            asker: Default::default(),
            acting_for: unit.map(str::to_owned),
            command,
        };
        commands::execute(&self.node, request).await
    }

    /// The answer to a verb that is carried out.
    pub async fn answer(&self, command: Command) -> Answer {
        let asked = format!("{command:?}");
        let said = self.ask_for(None, command).await;
        said.unwrap_or_else(|failure| panic!("{asked}: {}", failure.message))
    }

    /// Its data.
    pub async fn data(&self, command: Command) -> Value {
        self.answer(command).await.data
    }

    /// The refusal of a verb.
    pub async fn refused(&self, command: Command) -> Failure {
        let asked = format!("{command:?}");
        match self.ask_for(None, command).await {
            Ok(answer) => panic!("{asked} was carried out: {}", answer.data),
            Err(failure) => failure,
        }
    }

    /// The numbers of the mass changes that wait.
    pub async fn waiting(&self) -> Vec<u64> {
        let list = self.data(Command::HoldList).await;
        let items = list["items"].as_array().expect("a list");
        let open = items.iter().filter(|hold| hold["state"] == "open");
        open.filter_map(|hold| hold["hold"].as_u64()).collect()
    }

    /// Whether status names a problem.
    pub async fn has_problem(&self, code: &str) -> bool {
        let status = self.data(Command::Status).await;
        let problems = status["problems"].as_array().expect("a list");
        problems.iter().any(|problem| problem["code"] == code)
    }

    /// Counts everything that waits to be counted.
    pub async fn recompute(&self) {
        loop {
            let node = self.node.clone();
            let done = self
                .node
                .store
                .write(move |tx| rollups::recompute(&node, tx))
                .await
                .expect("counted");
            if done == 0 {
                return;
            }
        }
    }
}

/// Whether an answer says that a person must decide.
pub fn must_decide(answer: &Answer) -> bool {
    answer.exit == Exit::PersonNeeded
}
