//! From data to a page: templates, and the words and formats they may use.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Rest, Serde};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use serde_json::Value as Json;

use crate::api::Lang;
use crate::text;
use crate::text::shown::{Shown, clean};

/// Every template. They are part of the program, so that an upgrade cannot leave half of them behind.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("templates/layout.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("login.html", include_str!("templates/login.html")),
    ("problem.html", include_str!("templates/problem.html")),
    ("today.html", include_str!("templates/today.html")),
    ("tree.html", include_str!("templates/tree.html")),
    ("tasks.html", include_str!("templates/tasks.html")),
    ("task.html", include_str!("templates/task.html")),
    ("task_form.html", include_str!("templates/task_form.html")),
    ("report.html", include_str!("templates/report.html")),
    ("evidence.html", include_str!("templates/evidence.html")),
    ("conflicts.html", include_str!("templates/conflicts.html")),
    ("conflict.html", include_str!("templates/conflict.html")),
    ("rollup.html", include_str!("templates/rollup.html")),
    ("calendar.html", include_str!("templates/calendar.html")),
    ("periods.html", include_str!("templates/periods.html")),
    ("period.html", include_str!("templates/period.html")),
    ("adapters.html", include_str!("templates/adapters.html")),
    ("adapter.html", include_str!("templates/adapter.html")),
    (
        "adapter_form.html",
        include_str!("templates/adapter_form.html"),
    ),
    (
        "adapter_new.html",
        include_str!("templates/adapter_new.html"),
    ),
    ("node.html", include_str!("templates/node.html")),
    ("sync.html", include_str!("templates/sync.html")),
    ("desk.html", include_str!("templates/desk.html")),
    ("approvals.html", include_str!("templates/approvals.html")),
    ("approval.html", include_str!("templates/approval.html")),
    ("audit.html", include_str!("templates/audit.html")),
    ("scores.html", include_str!("templates/scores.html")),
    ("warnings.html", include_str!("templates/warnings.html")),
    ("users.html", include_str!("templates/users.html")),
];

/// The templates of both languages.
pub struct Pages([Environment<'static>; 2]);

impl Pages {
    /// For readers in a zone.
    pub fn new(zone: &TimeZone) -> Pages {
        let of = |lang| {
            let zone = zone.clone();
            environment(Shown { lang, zone })
        };
        Pages([of(Lang::Vi), of(Lang::En)])
    }

    /// A page of a template with its data.
    pub fn page(&self, lang: Lang, template: &str, data: &impl serde::Serialize) -> Response {
        match self.render(lang, template, data) {
            Ok(text) => Html(text).into_response(),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    template,
                    error,
                    "a page cannot be made; please report this line"
                );
                let text = text::text(lang, "console-broken", &[]);
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }

    fn render(
        &self,
        lang: Lang,
        template: &str,
        data: &impl serde::Serialize,
    ) -> Result<String, Error> {
        let Pages([vi, en]) = self;
        let environment = match lang {
            Lang::Vi => vi,
            Lang::En => en,
        };
        environment
            .get_template(template)?
            .render(Value::from(Serde(data)))
    }
}

/// An environment whose words and formats are those of one reader.
fn environment(shown: Shown) -> Environment<'static> {
    let mut env = Environment::new();
    // A field that an answer does not have is a mistake in the template, not an empty cell.
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in TEMPLATES {
        // A template that does not parse is found when it is rendered; every one is, by a test.
        let _ = env.add_template(name, source);
    }
    let shown = Arc::new(shown);
    env.add_global(
        "lang",
        match shown.lang {
            Lang::Vi => "vi",
            Lang::En => "en",
        },
    );
    let reader = shown.clone();
    env.add_function("t", move |key: &str, args: Kwargs| {
        translate(&reader, key, &args)
    });
    let reader = shown.clone();
    env.add_function("word", move |value: Value, families: Rest<String>| {
        word(&reader, &value, &families)
    });
    let reader = shown.clone();
    env.add_filter("time", move |value: Value| reader.time(&json(&value)));
    let reader = shown.clone();
    env.add_filter("number_name", move |value: Value| {
        reader.number_name(&json(&value))
    });
    let reader = shown.clone();
    env.add_filter("decimal", move |value: Value| reader.decimal(&json(&value)));
    let reader = shown.clone();
    env.add_filter("plain", move |value: Value| reader.plain(&json(&value)));
    let reader = shown.clone();
    env.add_filter("deadline", move |value: Value| {
        deadline(&reader, &json(&value))
    });
    env.add_filter("bytes", move |value: Value| shown.bytes(&json(&value)));
    env.add_filter("percent_of", percent_of);
    env
}

/// `t("console-key", count=3)`: a sentence of the catalogue.
fn translate(shown: &Shown, key: &str, named: &Kwargs) -> Result<String, Error> {
    let mut args = Vec::new();
    for name in named.args() {
        let value: Value = named.get(name)?;
        args.push((name.to_owned(), shown.plain(&json(&value))));
    }
    let borrowed: Vec<(&str, &str)> = args
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Ok(text::text(shown.lang, key, &borrowed))
}

/// `word(value, "word-status-", …)`: the word for a value of a closed list, from the first family that has it.
fn word(shown: &Shown, value: &Value, families: &[String]) -> String {
    let Some(value) = value.as_str() else {
        return shown.plain(&json(value));
    };
    let found = families
        .iter()
        .find_map(|family| text::word(shown.lang, family, value));
    found.unwrap_or_else(|| clean(value))
}

/// A moment before which something must be in. Midnight is said as people say it: the end of the day before.
fn deadline(shown: &Shown, value: &Json) -> String {
    let at = value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let at = at.map(|at| at.to_zoned(shown.zone.clone()));
    let midnight = at.filter(|at| at.time() == jiff::civil::Time::midnight());
    match midnight.and_then(|at| at.date().yesterday().ok()) {
        Some(day) => {
            let date = shown.time(&Json::String(day.to_string()));
            text::text(shown.lang, "console-end-of-day", &[("date", &date)])
        }
        None => shown.time(value),
    }
}

fn json(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

/// A share of a whole as percent with one digit, for widths in charts; 0 of nothing.
fn percent_of(part: f64, whole: f64) -> f64 {
    match whole > 0.0 {
        true => (part / whole * 1000.0).round() / 10.0,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests;
