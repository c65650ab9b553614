//! The mapping process: reads its programs, then one input a line, and answers a line for each.

use std::io::{self, BufRead, BufReader, BufWriter, Write};

use jaq_json::Val;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::{self, Expression};
use super::{MapLimits, Misread, Programs};
use crate::process;

/// The hidden argument by which this program becomes a mapping process.
pub const WORKER_ARGUMENT: &str = "map-worker";

/// Stack of the thread that evaluates: an expression that recurses without end reaches it at once, an honest one never.
const STACK_BYTES: usize = 16 << 20;

/// The first line to the process.
#[derive(Serialize, Deserialize)]
pub(super) struct Opening {
    pub limits: MapLimits,
    pub programs: Programs,
}

/// Every further line to the process.
#[derive(Serialize, Deserialize)]
pub(super) struct Question<V> {
    /// Number of the set, in the order of the programs.
    pub set: usize,
    /// Whether every expression is announced before it runs: asked after one that ended a process.
    pub careful: bool,
    pub input: V,
}

/// Lines from the process.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// Everything is compiled.
    Ready,
    /// Something is not jq.
    Misread(Vec<Misread>),
    /// The expression of this number runs next.
    At(usize),
    /// The value of every expression.
    Values(Vec<Value>),
    /// The expression of this number has no value, and why.
    Failed(Option<usize>, String),
}

/// The mapping process: answers on standard output what it is asked on standard input, returns the exit code.
///
/// To be called before anything else is set up, in particular before threads and the runtime.
pub fn worker_main() -> i32 {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let served = thread.spawn(|| {
        let mut input = BufReader::new(io::stdin().lock());
        let begin = |limits: &MapLimits| process::limit_self(limits.memory_bytes);
        let step = |limits: &MapLimits| process::limit_cpu(limits.cpu_s);
        serve(&mut input, &mut io::stdout().lock(), begin, step)
    });
    match served.map(|thread| thread.join()) {
        Ok(Ok(Ok(()))) => 0,
        _ => 1,
    }
}

/// Limits itself once by `begin`, and before the programs and every input by `step`.
fn serve(
    input: &mut impl BufRead,
    output: &mut impl Write,
    begin: impl FnOnce(&MapLimits) -> io::Result<()>,
    step: impl Fn(&MapLimits) -> io::Result<()>,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let Opening { limits, programs } = serde_json::from_slice(&line)?;
    begin(&limits)?;
    step(&limits)?;
    let sets = match compile(&programs) {
        Ok(sets) => sets,
        Err(misread) => return answer(&mut output, &Answer::Misread(misread), &limits),
    };
    answer(&mut output, &Answer::Ready, &limits)?;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        step(&limits)?;
        let outcome = match serde_json::from_slice::<Question<Val>>(&line) {
            Ok(question) => map(&sets, question, &mut |at| {
                answer(&mut output, &Answer::At(at), &limits)
            })?,
            Err(error) => Answer::Failed(None, format!("the input cannot be read: {error}")),
        };
        answer(&mut output, &outcome, &limits)?;
    }
}

fn compile(programs: &Programs) -> Result<Vec<Vec<Expression>>, Vec<Misread>> {
    let mut misread = Vec::new();
    let mut sets = Vec::new();
    for (set, expressions) in programs {
        let mut compiled = Vec::new();
        for (name, source) in expressions {
            match program::compile(source) {
                Ok(expression) => compiled.push(expression),
                Err(program::Misread { offset, message }) => {
                    let before = &source[..offset];
                    misread.push(Misread {
                        set: set.clone(),
                        name: name.clone(),
                        expression: source.clone(),
                        line: before.matches('\n').count() + 1,
                        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                        message,
                    });
                }
            }
        }
        sets.push(compiled);
    }
    if misread.is_empty() {
        Ok(sets)
    } else {
        Err(misread)
    }
}

fn map(
    sets: &[Vec<Expression>],
    question: Question<Val>,
    announce: &mut dyn FnMut(usize) -> io::Result<()>,
) -> io::Result<Answer> {
    let expressions = sets.get(question.set).map_or(&[][..], Vec::as_slice);
    let mut values = Vec::with_capacity(expressions.len());
    for (number, expression) in expressions.iter().enumerate() {
        if question.careful {
            announce(number)?;
        }
        match expression.evaluate(question.input.clone()) {
            Ok(value) => values.push(value),
            Err(message) => return Ok(Answer::Failed(Some(number), message)),
        }
    }
    Ok(Answer::Values(values))
}

fn answer(output: &mut impl Write, answer: &Answer, limits: &MapLimits) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    if line.len() as u64 >= limits.answer_bytes {
        let message = format!("the values are longer than {} bytes", limits.answer_bytes);
        line = serde_json::to_vec(&Answer::Failed(None, message))?;
    }
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served(expressions: &[(&str, &str)], questions: &[Question<Value>]) -> Vec<Answer> {
        let set = expressions
            .iter()
            .map(|(name, source)| (name.to_string(), source.to_string()))
            .collect();
        let opening = Opening {
            limits: MapLimits {
                answer_bytes: 1000,
                ..MapLimits::default()
            },
            programs: [("s".to_owned(), set)].into(),
        };
        let mut input = serde_json::to_string(&opening).unwrap();
        for question in questions {
            input.push('\n');
            input.push_str(&serde_json::to_string(question).unwrap());
        }
        let mut output = Vec::new();
        serve(&mut input.as_bytes(), &mut output, |_| Ok(()), |_| Ok(())).unwrap();
        let lines = String::from_utf8(output).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn question(careful: bool, input: Value) -> Question<Value> {
        Question {
            set: 0,
            careful,
            input,
        }
    }

    #[test]
    fn every_input_is_answered_in_order() {
        let answers = served(
            &[("a", ".x"), ("b", ".x | length")],
            &[
                question(false, json!({"x": "đê"})),
                question(false, json!({"x": true})),
                question(true, json!({"x": [1]})),
            ],
        );
        assert_eq!(answers[0], Answer::Ready);
        assert_eq!(answers[1], Answer::Values(vec![json!("đê"), json!(2)]));
        assert!(matches!(&answers[2], Answer::Failed(Some(1), why) if why.contains("no length")));
        assert_eq!(answers[3..5], [Answer::At(0), Answer::At(1)]);
        assert_eq!(answers[5], Answer::Values(vec![json!([1]), json!(1)]));
    }

    #[test]
    fn every_misread_expression_is_named_with_its_place() {
        let answers = served(&[("a", "1 +"), ("b", "."), ("c", "1 |\n  nosuch")], &[]);
        let [Answer::Misread(misread)] = &answers[..] else {
            panic!("{answers:?}")
        };
        let places: Vec<_> = misread
            .iter()
            .map(|m| (m.name.as_str(), m.line, m.column))
            .collect();
        assert_eq!(places, [("a", 1, 4), ("c", 2, 3)]);
    }

    #[test]
    fn an_answer_longer_than_allowed_costs_its_input_only() {
        let answers = served(
            &[("a", r#""x" * .n"#)],
            &[
                question(false, json!({"n": 5000})),
                question(false, json!({"n": 2})),
            ],
        );
        assert!(matches!(&answers[1], Answer::Failed(None, why) if why.contains("1000 bytes")));
        assert_eq!(answers[2], Answer::Values(vec![json!("xx")]));
    }
}
