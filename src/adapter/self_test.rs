//! A profile's own tests: a record of one side, and what the mappings must make of it.
//!
//! They go the way that a run goes, through the same expressions and conversions, and reach neither the outside nor
//! the store. A profile is not run while one of them fails.

use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cycle::mapped::{self, Body, text_of};
use super::cycle::{is_true, set};
use super::mapping::{MapError, Mapper};
use super::ours::Fields;
use super::profile::{MappingTest, Profile, Stream};

/// How one test came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// The stream it is about.
    pub stream: String,
    /// Where the outcome is not what was expected.
    pub differences: Vec<Difference>,
    /// Why there is no outcome at all.
    pub error: Option<String>,
}

/// One value that is not what was expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where it is, such as `fields.status`; empty for the outcome as a whole.
    pub path: String,
    /// What the test expects; absent: nothing.
    pub expected: Option<Value>,
    /// What the mappings made; absent: nothing.
    pub got: Option<Value>,
}

impl Tested {
    /// Whether it came out as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty() && self.error.is_none()
    }
}

/// Runs every test of a profile.
pub async fn run(
    profile: &Profile,
    mapper: &Mapper,
    zone: &TimeZone,
) -> Result<Vec<Tested>, MapError> {
    let mut outcomes = Vec::new();
    for test in &profile.tests {
        let mut tested = Tested {
            name: test.name.clone(),
            stream: test.stream.clone(),
            differences: Vec::new(),
            error: None,
        };
        match outcome(profile, mapper, zone, test).await {
            Ok((expected, got)) => {
                compare("", Some(&expected), Some(&got), &mut tested.differences)
            }
            Err(Unmapped::Here(error)) => tested.error = Some(error),
            Err(Unmapped::Everywhere(error)) => return Err(error),
        }
        outcomes.push(tested);
    }
    Ok(outcomes)
}

/// Why a test has no outcome.
enum Unmapped {
    /// Its record cannot be mapped.
    Here(String),
    /// Nothing can be mapped.
    Everywhere(MapError),
}

impl From<MapError> for Unmapped {
    fn from(error: MapError) -> Self {
        match error {
            MapError::Failed { .. } | MapError::GaveUp { .. } => Unmapped::Here(error.to_string()),
            other => Unmapped::Everywhere(other),
        }
    }
}

fn here(error: impl ToString) -> Unmapped {
    Unmapped::Here(error.to_string())
}

/// What a test expects, and what the mappings made.
async fn outcome(
    profile: &Profile,
    mapper: &Mapper,
    zone: &TimeZone,
    test: &MappingTest,
) -> Result<(Value, Value), Unmapped> {
    let stream = profile
        .streams
        .iter()
        .find(|stream| stream.name == test.stream);
    let stream = stream.ok_or_else(|| here(format!("there is no stream {}", test.stream)))?;
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(here);
    let expected = json(&test.expect)?;
    let case = Case {
        profile,
        stream,
        mapper,
        zone,
    };
    match (&test.theirs, &test.ours) {
        (Some(theirs), _) => {
            let got = case.theirs(json(theirs)?).await?;
            Ok(only_what_is_expected(expected, got))
        }
        (None, ours) => {
            let ours = json(ours.as_deref().unwrap_or("{}"))?;
            Ok((expected, case.ours(ours).await?))
        }
    }
}

/// Of id, key and version a test of theirs may leave out what it does not care for; empty fields are no fields.
fn only_what_is_expected(mut expected: Value, mut got: Value) -> (Value, Value) {
    if let (Some(wanted), Some(found)) = (expected.as_object_mut(), got.as_object_mut()) {
        found.retain(|name, _| name == "fields" || wanted.contains_key(name));
        if let Some(fields) = wanted.get_mut("fields").and_then(Value::as_object_mut) {
            fields.retain(|_, value| value != "");
        }
    }
    (expected, got)
}

struct Case<'a> {
    profile: &'a Profile,
    stream: &'a Stream,
    mapper: &'a Mapper,
    zone: &'a TimeZone,
}

impl Case<'_> {
    /// What a run would understand of an outside record; null: it is none of this stream's.
    async fn theirs(&self, record: Value) -> Result<Value, Unmapped> {
        if self.stream.only.is_some() {
            let values = self.values("only", record.clone()).await?;
            if !is_true(&values) {
                return Ok(Value::Null);
            }
        }
        let values = self.values("theirs", record).await?;
        let fields = mapped::fields_of_theirs(self.stream, self.profile, self.zone, &values);
        let named = |name: &str| json!(values.get(name).and_then(text_of));
        Ok(json!({
            "id": named("id"), "key": named("key"), "version": named("version"),
            "waits": named("waits"),
            "fields": fields.map_err(here)?,
        }))
    }

    /// The body that a run would write for one of our records.
    async fn ours(&self, context: Value) -> Result<Value, Unmapped> {
        let own: Fields = serde_json::from_value(context["fields"].clone()).map_err(|_| {
            here("ours.fields is no table of texts, as in {\"fields\": {\"percent\": \"60\"}}")
        })?;
        let values = self.values("ours", context.clone()).await?;
        let key = values.get("key").and_then(text_of);
        let key = key.ok_or_else(|| {
            here("key.ours gives no key for this record: it would not be exchanged")
        })?;
        let fields = mapped::fields_of_ours(self.stream, &own, &values);
        let id = text_of(&context["id"]);
        let part = match (&id, &self.stream.write.create, &self.stream.write.update) {
            (None, Some(_), _) => "create",
            (_, _, Some(_)) => "update",
            (Some(_), _, None) => {
                return Err(here(
                    "the stream has no write.update: nothing is ever changed there",
                ));
            }
            (None, None, None) => {
                return Err(here("the stream has neither write.create nor write.update"));
            }
        };
        let changed = match context["changed"].as_array() {
            Some(names) => {
                let named = |name: &String| names.iter().any(|n| n == name.as_str());
                fields
                    .iter()
                    .filter(|(name, _)| named(name))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect()
            }
            None => fields.clone(),
        };
        let external = context["external"].clone();
        let body = Body {
            key: &key,
            id,
            fields: &fields,
            changed: &changed,
        };
        let mut input = mapped::body_input(self.stream, self.profile, self.zone, context, body)
            .map_err(here)?;
        input["external"] = external;
        Ok(self.mapper.one(&set(self.stream, part), input).await?)
    }

    async fn values(
        &self,
        part: &str,
        input: Value,
    ) -> Result<std::collections::BTreeMap<String, Value>, Unmapped> {
        let mut outcomes = self
            .mapper
            .map(&set(self.stream, part), vec![input])
            .await?;
        let outcome = outcomes
            .pop()
            .ok_or_else(|| here("the mapping gave no answer"))?;
        Ok(outcome?)
    }
}

/// Where two values differ, as deep inside as can be told.
fn compare(path: &str, expected: Option<&Value>, got: Option<&Value>, found: &mut Vec<Difference>) {
    if expected == got {
        return;
    }
    if let (Some(Value::Object(expected)), Some(Value::Object(got))) = (expected, got) {
        let inside = |name: &str| match path {
            "" => name.to_owned(),
            _ => format!("{path}.{name}"),
        };
        let mut both: Map<String, Value> = expected.clone();
        both.extend(got.clone());
        for name in both.keys() {
            compare(&inside(name), expected.get(name), got.get(name), found);
        }
        return;
    }
    found.push(Difference {
        path: path.to_owned(),
        expected: expected.cloned(),
        got: got.cloned(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_as_deep_inside_as_it_is() {
        let mut found = Vec::new();
        let expected =
            json!({"id": "1", "fields": {"status": "completed", "percent": "60"}, "list": [1]});
        let got =
            json!({"id": "1", "fields": {"status": "in_progress", "result": "x"}, "list": [1, 2]});
        compare("", Some(&expected), Some(&got), &mut found);
        let told: Vec<_> = found
            .iter()
            .map(|d| (d.path.as_str(), d.expected.is_some(), d.got.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("fields.percent", true, false),
                ("fields.result", false, true),
                ("fields.status", true, true),
                ("list", true, true),
            ]
        );
    }

    #[test]
    fn what_a_test_leaves_out_of_the_head_is_not_compared() {
        let got = json!({"id": "1", "key": "a", "version": null, "fields": {"x": "1"}});
        let (expected, got) =
            only_what_is_expected(json!({"key": "a", "fields": {"x": "1", "y": ""}}), got);
        assert_eq!(expected, got);
    }
}
