//! Mappings run in a process of their own, and what an administrator writes wrongly costs the record it was at.

use std::path::Path;
use std::time::Instant;

use nqsync::adapter::mapping::{MapError, MapLimits, Mapper, Programs};
use serde_json::{Value, json};

/// A call that ends its process needs little of either here, so that the tests do not wait.
fn limits() -> MapLimits {
    MapLimits {
        cpu_s: 0,
        memory_bytes: 192 << 20,
        ..MapLimits::default()
    }
}

fn programs(expressions: &[(&str, &str)]) -> Programs {
    let set = expressions
        .iter()
        .map(|(name, source)| (name.to_string(), source.to_string()))
        .collect();
    [("tasks".to_owned(), set)].into()
}

async fn start(expressions: &[(&str, &str)]) -> Result<Mapper, MapError> {
    let exe = Path::new(env!("CARGO_BIN_EXE_nqsync"));
    Mapper::start(exe, programs(expressions), limits()).await
}

/// Maps `inputs` and returns the outcome of each: the value of `out`, or the error.
async fn mapped(mapper: &Mapper, inputs: Vec<Value>) -> Vec<Result<Value, MapError>> {
    let outcomes = mapper.map("tasks", inputs).await.unwrap();
    outcomes
        .into_iter()
        .map(|outcome| outcome.map(|mut values| values.remove("out").unwrap()))
        .collect()
}

#[tokio::test]
async fn thousands_of_records_come_back_in_their_order() {
    let expressions: Vec<(String, String)> = (0..7)
        .map(|n| (format!("field{n}"), format!(".fields[{n}].value // null")))
        .collect();
    let mut expressions: Vec<(&str, &str)> = expressions
        .iter()
        .map(|(name, source)| (name.as_str(), source.as_str()))
        .collect();
    expressions.push(("out", r#"(.id | tostring) + (.title | gsub("\\s+"; " "))"#));
    let mapper = start(&expressions).await.unwrap();
    let fields: Vec<Value> = (0..7)
        .map(|n| json!({"value": n, "label": "Tiến độ thực hiện nhiệm vụ"}))
        .collect();
    let inputs: Vec<Value> = (0..5_000)
        .map(|id| json!({"id": id, "title": "Lắp   đèn\nđường", "fields": fields}))
        .collect();
    let began = Instant::now();
    let outcomes = mapped(&mapper, inputs).await;
    println!("5000 records with 8 expressions in {:?}", began.elapsed());
    for (id, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.unwrap(), json!(format!("{id}Lắp đèn đường")));
    }
}

#[tokio::test]
async fn an_endless_loop_costs_the_record_it_was_at() {
    let mapper = start(&[
        ("out", "if .loop then last(repeat(1)) else .n end"),
        ("other", "."),
    ])
    .await
    .unwrap();
    let inputs = vec![
        json!({"n": 1}),
        json!({"n": 2, "loop": true}),
        json!({"n": 3}),
    ];
    let outcomes = mapped(&mapper, inputs).await;
    assert_eq!(outcomes[0], Ok(json!(1)));
    assert_eq!(outcomes[2], Ok(json!(3)));
    let error = outcomes[1].clone().unwrap_err().to_string();
    for part in [
        "tasks.out",
        "CPU time",
        "last(repeat(1))",
        r#"{"loop":true,"n":2}"#,
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    // The mapper goes on with a fresh process.
    assert_eq!(
        mapper
            .map("tasks", vec![json!({"n": 4})])
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn recursion_without_end_and_hunger_for_memory_cost_the_record_they_were_at() {
    let greedy = r#"if .deep then def f: [f]; f elif .wide then [range(1e9)] else .n end"#;
    let mapper = start(&[("a", "1"), ("out", greedy)]).await.unwrap();
    let inputs = vec![
        json!({"n": 1}),
        json!({"deep": true}),
        json!({"wide": true}),
        json!({"n": 2}),
    ];
    let outcomes = mapped(&mapper, inputs).await;
    assert_eq!((&outcomes[0], &outcomes[3]), (&Ok(json!(1)), &Ok(json!(2))));
    for outcome in &outcomes[1..3] {
        let error = outcome.clone().unwrap_err();
        assert!(
            matches!(&error, MapError::Failed { name: Some(name), .. } if name == "out"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_expression_that_ends_the_process_every_time_is_given_up() {
    let mapper = start(&[("out", "def f: [f]; f")]).await.unwrap();
    let error = mapper.map("tasks", vec![json!(1); 100]).await.unwrap_err();
    assert!(
        matches!(error, MapError::GaveUp { deaths: 5, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn no_value_two_values_and_errors_name_the_expression_and_the_input() {
    let mapper = start(&[("out", ".values[]"), ("rest", ".rest.x")])
        .await
        .unwrap();
    let inputs = vec![
        json!({"values": []}),
        json!({"values": ["a", "b"]}),
        json!({"values": ["a"], "rest": "x".repeat(1000)}),
        json!({"values": ["a"]}),
    ];
    let outcomes = mapped(&mapper, inputs).await;
    let text = |n: usize| outcomes[n].clone().unwrap_err().to_string();
    assert!(
        text(0).starts_with("tasks.out: gave no value"),
        "{}",
        text(0)
    );
    assert!(
        text(1).starts_with("tasks.out: gave more than one value"),
        "{}",
        text(1)
    );
    assert!(
        text(1).ends_with(r#"expression: `.values[]`; input: {"values":["a","b"]}"#),
        "{}",
        text(1)
    );
    assert!(
        text(2).starts_with("tasks.rest: cannot index"),
        "{}",
        text(2)
    );
    assert!(text(2).chars().count() < 600, "{}", text(2));
    assert_eq!(outcomes[3], Ok(json!("a")));
}

#[tokio::test]
async fn an_expression_that_is_no_jq_is_refused_at_the_start_with_its_place() {
    let error = start(&[("good", ".a"), ("out", ".a |\n  | .b")])
        .await
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("tasks.out") && text.contains("line 2, column 3"),
        "{text}"
    );
}

#[tokio::test]
async fn a_call_given_up_in_the_middle_leaves_no_answers_for_the_next() {
    let mapper = start(&[("out", ".")]).await.unwrap();
    let many: Vec<Value> = (0..20_000).map(|n| json!(n)).collect();
    {
        let call = mapper.map("tasks", many);
        tokio::pin!(call);
        // Polled once: the questions are on their way, nothing is answered yet.
        assert!(poll_once(call.as_mut()).await.is_none());
    }
    assert_eq!(mapper.one("tasks", json!("mới")).await, Ok(json!("mới")));
}

async fn poll_once<F: Future + Unpin>(mut call: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut call).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_program_that_is_not_there_or_is_another_is_said() {
    let none = Mapper::start(Path::new("/nonexistent/nqsync"), programs(&[]), limits()).await;
    assert!(
        none.err()
            .unwrap()
            .to_string()
            .contains("could not be started")
    );
    let other = Mapper::start(Path::new("/bin/true"), programs(&[]), limits()).await;
    assert!(
        other
            .err()
            .unwrap()
            .to_string()
            .contains("before the first record")
    );
}
