//! The pages, one module for each entry of the menu, and what they have in common.

mod adapters;
mod approvals;
mod assets;
mod audit;
mod calendar;
mod conflicts;
mod desk;
mod evidence;
mod node;
mod periods;
mod reports;
mod rollup;
mod scores;
pub mod sync;
mod tasks;
mod today;
mod tree;
mod users;
mod warnings;
mod workbook;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Console;
use super::ask::Person;
use super::door;
use super::form::Fields;
use crate::api::{Command, Duty, Exit, Failure, Outcome};
use crate::node::commands::views::time;
use crate::store::{Role, StoreError, links, queries};
use crate::t;

/// Greatest form without a file.
const FORM_BYTES: usize = 256 * 1024;

/// All addresses of the console.
pub fn router(console: Arc<Console>) -> Router {
    let report = "/tasks/{task}/reports/{unit}/{period}";
    let at = |end: &str| format!("{report}/{end}");
    Router::new()
        .route("/", get(today::show))
        .route("/tree", get(tree::show))
        .route("/tasks", get(tasks::list))
        .route("/tasks/new", get(tasks::blank).post(tasks::add))
        .route("/tasks/{task}", get(tasks::show))
        .route("/tasks/{task}/edit", get(tasks::edit).post(tasks::update))
        .route("/tasks/{task}/withdraw", post(tasks::withdraw))
        .route("/tasks/{task}/propose", post(tasks::propose))
        .route(report, get(reports::show).post(reports::save))
        .route(&at("withdraw"), post(reports::withdraw))
        .route(&at("verdict"), post(reports::judge))
        .route(
            &at("evidence"),
            post(evidence::attach).layer(DefaultBodyLimit::disable()),
        )
        .route("/evidence", get(evidence::desk))
        .route("/evidence/{evidence}/file", get(evidence::file))
        .route("/evidence/{evidence}/remove", post(evidence::remove))
        .route("/conflicts", get(conflicts::list))
        .route(
            "/conflicts/{conflict}",
            get(conflicts::show).post(conflicts::resolve),
        )
        .route("/rollup", get(rollup::show))
        .route("/scores", get(scores::show))
        .route("/workbook", get(workbook::get))
        .route("/calendar", get(calendar::show))
        .route("/warnings", get(warnings::list))
        .route("/warnings/{warning}", post(warnings::silence))
        .route("/periods", get(periods::list).post(periods::submit))
        .route(
            "/periods/{period}/{unit}",
            get(periods::show).post(periods::decide),
        )
        .route("/adapters", get(adapters::list))
        .route("/connect", get(adapters::fresh).post(adapters::add))
        .route(
            "/adapters/{name}/settings",
            get(adapters::settings).post(adapters::change),
        )
        .route("/adapters/{name}", get(adapters::show).post(adapters::run))
        .route("/node", get(node::show))
        .route("/node/waiting/{pin}", post(node::waiting))
        .route("/sync", get(sync::show).post(sync::begin))
        .route("/desk", get(desk::show))
        .route("/desk/holds/{hold}", post(desk::hold))
        .route("/desk/quarantine/{item}", post(desk::quarantine))
        .route("/desk/proposals/{proposal}", post(desk::proposal))
        .route("/approvals", get(approvals::list))
        .route(
            "/approvals/{approval}",
            get(approvals::show).post(approvals::decide),
        )
        .route("/audit", get(audit::show))
        .route("/users", get(users::list).post(users::add))
        .route("/users/{name}", post(users::change))
        .route("/password", get(users::own).post(users::own_password))
        .route("/language", post(door::language))
        .route("/logout", post(door::logout))
        .route("/login", get(door::login_page).post(door::login))
        .route("/assets/{name}", get(assets::get))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::from_fn_with_state(console.clone(), door::guard))
        .with_state(console)
}

async fn nothing_here(
    axum::extract::State(console): axum::extract::State<Arc<Console>>,
    person: Person,
) -> Response {
    let failure = Failure {
        exit: Exit::Usage,
        code: "no_page".to_owned(),
        message: t!(person.lang(), "console-no-page"),
        data: Value::Null,
    };
    let mut response = console.page(&person, "", "", Err(failure)).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

impl Console {
    /// A page for somebody: its data, and what stands around it. `active` is the entry of the menu it belongs to.
    async fn page(
        &self,
        person: &Person,
        active: &str,
        template: &str,
        data: Result<Value, Failure>,
    ) -> Response {
        let (template, mut data, status) = match data {
            Ok(data) => (template, data, StatusCode::OK),
            Err(failure) => (
                "problem.html",
                json!({ "message": failure.message }),
                status_of(failure.exit),
            ),
        };
        let frame = json!({
            "active": active,
            "bare": false,
            "user": { "name": person.name, "role": person.role.as_str() },
            "may": {
                "work": person.may(Duty::Work),
                "operate": person.may(Duty::Operate),
                "approve": person.may(Duty::Approve),
                "administer": person.may(Duty::Administer),
            },
            "form_token": person.form_token,
            "flashes": self.sessions.told(&person.token),
            "now": time(self.now_ms()),
            "home": self.home().await,
            "upstream": self.upstream().await,
        });
        if let (Some(data), Value::Object(frame)) = (data.as_object_mut(), frame) {
            data.extend(frame);
        }
        let mut response = self.pages.page(person.lang(), template, &data);
        if status != StatusCode::OK {
            *response.status_mut() = status;
        }
        response
    }

    /// The unit this node was set up for.
    async fn home(&self) -> Value {
        let found = self.service.node.store.read(|connection| {
            let unit = queries::meta(connection, "unit")?;
            Ok::<_, StoreError>((queries::load_tree(connection)?, unit))
        });
        let Ok((tree, Some(unit))) = found.await else {
            return json!({ "code": "", "name": "" });
        };
        let info = unit.parse().ok().and_then(|unit| tree.get(unit));
        json!({
            "code": info.map(|info| info.code.clone()),
            "name": info.map(|info| info.name.clone()),
            "level": info.map(|info| info.level),
        })
    }

    /// How fresh it all is: when the node above was last heard of. `null`: there is none.
    async fn upstream(&self) -> Value {
        let rows = self.service.node.store.read(links::rows).await;
        let up = rows
            .unwrap_or_default()
            .into_iter()
            .find(|row| row.role == Role::Upstream);
        match up {
            Some(row) => json!({
                "last_success_at": row.last_success_at.map(time),
                "error": row.last_error,
            }),
            None => Value::Null,
        }
    }

    /// After a form: what came of it is told on the page that follows.
    fn after(&self, person: &Person, outcome: &Outcome, done: &str, next: &str) -> Response {
        self.tell(person, outcome, done);
        Redirect::to(next).into_response()
    }
}

fn status_of(exit: Exit) -> StatusCode {
    match exit {
        Exit::Usage => StatusCode::BAD_REQUEST,
        Exit::Authentication => StatusCode::FORBIDDEN,
        Exit::Unreachable => StatusCode::BAD_GATEWAY,
        Exit::PersonNeeded | Exit::Locked => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The path of a page about a report.
fn report_path(task: &str, unit: &str, period: &str) -> String {
    format!(
        "/tasks/{}/reports/{}/{}",
        encoded(task),
        encoded(unit),
        encoded(period)
    )
}

/// A text as one part of a path.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Which page of a list is asked for; the first is 1.
fn page_of(asked: &Fields) -> usize {
    let page = asked.get("page").and_then(|page| page.parse().ok());
    page.unwrap_or(1).max(1)
}

/// These fields as they stand in the address, ready for `page=` behind them.
fn query_of(asked: &Fields, names: &[&str]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in names {
        if let Some(value) = asked.get(name) {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    match query.is_empty() {
        true => query,
        false => query + "&",
    }
}

/// Units by code: people know the names.
fn names(units: &Value) -> Value {
    let units = units["items"].as_array().into_iter().flatten();
    let named = units.filter_map(|u| Some((u["code"].as_str()?.to_owned(), u["name"].clone())));
    Value::Object(named.collect())
}

/// The verb that lists units, for fields that offer them.
fn all_units() -> Command {
    Command::UnitList { under: None }
}
