//! Mappings run in a process of their own: a bad one costs the record it was run on, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use nqsync::adapter::mapping::{MapError, MapLimits, Mapper, Programs};
use serde_json::{Value, json};

fn programs(expressions: &[(&str, &str)]) -> Programs {
    let set = expressions
        .iter()
        .map(|(name, jq)| ((*name).to_owned(), (*jq).to_owned()));
    Programs::from([("s".to_owned(), set.collect())])
}

async fn mapper(expressions: &[(&str, &str)]) -> Result<Mapper, MapError> {
    let limits = MapLimits {
        wall_ms: 1_000,
        ..MapLimits::default()
    };
    let exe = Path::new(env!("CARGO_BIN_EXE_nqsync"));
    Mapper::start(exe, programs(expressions), limits).await
}

async fn map(
    expressions: &[(&str, &str)],
    inputs: &[Value],
) -> Vec<Result<BTreeMap<String, Value>, MapError>> {
    let mapper = mapper(expressions).await.expect("mappings that compile");
    mapper.map("s", inputs.to_vec()).await.expect("a process")
}

#[tokio::test]
async fn every_expression_of_a_set_gives_its_value_for_every_input() {
    let inputs = [json!({ "id": 7, "t": "xã" }), json!({ "id": 8 })];
    let found = map(&[("id", ".id"), ("title", ".t // \"\"")], &inputs).await;
    let first = found[0].as_ref().expect("values");
    assert_eq!((&first["id"], &first["title"]), (&json!(7), &json!("xã")));
    assert_eq!(found[1].as_ref().expect("values")["title"], json!(""));
}

#[tokio::test]
async fn an_expression_that_fails_is_named_with_its_text_and_its_input() {
    let found = map(
        &[("id", ".id | tonumber")],
        &[json!({ "id": "bảy" }), json!({ "id": "8" })],
    )
    .await;
    let error = found[0].as_ref().expect_err("no number").to_string();
    for part in ["s id", ".id | tonumber", "bảy"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(found[1].as_ref().expect("values")["id"], json!(8));
}

#[tokio::test]
async fn no_value_and_two_values_are_errors_that_say_so() {
    let none = map(&[("id", "empty")], &[json!(1)]).await;
    assert!(
        none[0]
            .as_ref()
            .expect_err("none")
            .to_string()
            .contains("no value")
    );
    let two = map(&[("id", "1, 2")], &[json!(1)]).await;
    assert!(
        two[0]
            .as_ref()
            .expect_err("two")
            .to_string()
            .contains("more than one value")
    );
}

#[tokio::test]
async fn a_mapping_without_end_costs_one_record() {
    let inputs = [json!(1), json!(2), json!(3)];
    let looping = "if . == 2 then (def f: f; f) else . end";
    let deep = "if . == 2 then (def f: 1 + f; f) else . end";
    let hungry = "if . == 2 then ([range(1e12)] | length) else . end";
    for jq in [looping, deep, hungry] {
        let found = map(&[("id", jq)], &inputs).await;
        assert_eq!(found.len(), 3, "{jq}");
        assert!(
            matches!(found[1], Err(MapError::Ended { .. })),
            "{jq}: {:?}",
            found[1]
        );
        assert!(found[0].is_ok() && found[2].is_ok(), "{jq}");
    }
}

#[tokio::test]
async fn what_is_no_jq_and_what_looks_outside_is_refused_before_anything_runs() {
    for jq in [".a[", "env.HOME", "$ENV.HOME", "input", "now", "nonsense"] {
        let error = mapper(&[("id", jq)]).await.err().expect(jq);
        assert!(
            matches!(&error, MapError::Compile { name, .. } if name == "id"),
            "{jq}: {error}"
        );
    }
}
