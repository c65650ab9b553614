//! One jq expression: compiled, then run on one input for exactly one value.
//!
//! An expression sees its input and nothing else: what reads the clock, the environment, other inputs or files, or
//! what ends or talks past the program, is taken out of the language before anything is compiled.

use jaq_core::compile::Undefined;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader, import};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::{Num, Val};
use serde_json::{Number, Value};

use super::{LONGEST_SHOWN, shortened};

/// What is left out of jq, definitions and native filters alike.
const LEFT_OUT: [&str; 17] = [
    "now",
    "localtime",
    "strflocaltime",
    "env",
    "$ENV",
    "input",
    "inputs",
    "input_filename",
    "input_line_number",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "get_search_list",
    "repl",
];

/// How deep a value may be nested: more than any record, and less than what readers of JSON refuse.
const DEEPEST: usize = 100;

/// A compiled expression.
pub struct Expression(Filter<JustLut<Val>>);

/// Why an expression cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
pub struct Misread {
    /// Where it goes wrong: bytes from the start of the expression.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// Compiles an expression.
pub fn compile(source: &str) -> Result<Expression, Misread> {
    let known = |name: &str| !LEFT_OUT.contains(&name);
    let definitions = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|definition| known(definition.name));
    let natives = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs())
        .filter(|native| known(native.0));
    let arena = Arena::default();
    let program = File {
        code: source,
        path: (),
    };
    let modules = Loader::new(definitions)
        .load(&arena, program)
        .map_err(|errors| first(source, errors.into_iter().map(|(_, error)| of_load(error))))?;
    import(&modules, |_| Err("not allowed".to_owned()))
        .map_err(|errors| first(source, errors.into_iter().map(|(_, error)| of_load(error))))?;
    let filter = Compiler::default()
        .with_funs(natives)
        .compile(modules)
        .map_err(|errors| {
            let errors = errors.into_iter().flat_map(|(_, errors)| errors);
            first(source, errors.map(of_compile))
        })?;
    Ok(Expression(filter))
}

impl Expression {
    /// The one value that the expression gives for an input, or why there is none.
    pub fn evaluate(&self, input: Val) -> Result<Value, String> {
        let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        let mut outcomes = self.0.id.run((context, input)).map(|outcome| {
            outcome.map_err(|exception| match exception.get_err() {
                Ok(error) => told(error),
                Err(_) => "ended in the middle".to_owned(),
            })
        });
        let value = outcomes.next().ok_or(
            "gave no value where exactly one is expected; for a value that may be missing write `… // null`",
        )??;
        match outcomes.next() {
            None => to_json(&value, 0),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(
                "gave more than one value where exactly one is expected; take one of them, as in `first(…)`, or gather them, as in `[…]`"
                    .to_owned(),
            ),
        }
    }
}

/// What an error says; text raised by the expression itself comes without the quotes of JSON.
fn told(error: jaq_json::Error) -> String {
    let text = match error.into_val() {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => other.to_string(),
    };
    shortened(&text, LONGEST_SHOWN)
}

/// The first of several errors, by where each is: later ones are mostly its consequences.
fn first<'a>(source: &str, errors: impl Iterator<Item = (&'a str, String)>) -> Misread {
    errors
        .map(|(at, message)| Misread {
            offset: offset_in(source, at),
            message,
        })
        .min_by_key(|misread| misread.offset)
        .unwrap_or(Misread {
            offset: 0,
            message: "cannot be read".to_owned(),
        })
}

/// Where a part of the source begins; 0 for what is no part of it.
fn offset_in(source: &str, part: &str) -> usize {
    let (from, at) = (source.as_ptr() as usize, part.as_ptr() as usize);
    at.checked_sub(from)
        .filter(|offset| *offset <= source.len())
        .unwrap_or(0)
}

fn of_load(error: load::Error<&str>) -> (&str, String) {
    let nothing = ("", "cannot be read".to_owned());
    match error {
        load::Error::Io(parts) => parts.into_iter().next().map_or(nothing, |(path, _)| {
            (path, "a mapping includes no other files".to_owned())
        }),
        load::Error::Lex(parts) => parts
            .into_iter()
            .next()
            .map_or(nothing, |(expected, found)| {
                (found, unexpected(expected.as_str(), found))
            }),
        load::Error::Parse(parts) => parts
            .into_iter()
            .next()
            .map_or(nothing, |(expected, found)| {
                (found, unexpected(expected.as_str(), found))
            }),
    }
}

fn unexpected(expected: &str, found: &str) -> String {
    match found.chars().next() {
        Some(_) => format!(
            "expected {expected}, found `{}`",
            shortened(found, LONGEST_SHOWN / 4)
        ),
        None => format!("expected {expected}, found the end"),
    }
}

fn of_compile((name, kind): (&str, Undefined)) -> (&str, String) {
    if LEFT_OUT.contains(&name) {
        let message = format!("{name} is not available: a mapping sees its input and nothing else");
        return (name, message);
    }
    let message = match kind {
        Undefined::Filter(0) => format!("there is no filter {name}"),
        Undefined::Filter(arity) => format!("there is no filter {name} with {arity} arguments"),
        other => format!("there is no {} {name}", other.as_str()),
    };
    (name, message)
}

/// The value as JSON. jq values can be more than that: bytes, numbers without end, objects with numbers as keys.
fn to_json(value: &Val, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err(format!("gave a value nested more than {DEEPEST} deep"));
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(flag) => Value::Bool(*flag),
        Val::Num(number) => Value::Number(to_number(number)?),
        Val::TStr(text) => Value::String(to_text(text)?),
        Val::BStr(_) => return Err("gave bytes instead of text".to_owned()),
        Val::Arr(items) => Value::Array(
            items
                .iter()
                .map(|item| to_json(item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        Val::Obj(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| match key {
                    Val::TStr(key) => Ok((to_text(key)?, to_json(value, depth + 1)?)),
                    _ => Err("gave an object with a key that is not text".to_owned()),
                })
                .collect::<Result<_, String>>()?,
        ),
    })
}

fn to_text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "gave text that is not UTF-8".to_owned())
}

fn to_number(number: &Num) -> Result<Number, String> {
    let refused = || "gave a number that JSON cannot hold".to_owned();
    match number {
        Num::Int(whole) => Ok(Number::from(*whole)),
        Num::BigInt(whole) => {
            let whole = whole.to_string();
            let signed = whole.parse::<i64>().map(Number::from);
            signed
                .or_else(|_| whole.parse::<u64>().map(Number::from))
                .map_err(|_| refused())
        }
        Num::Float(number) => Number::from_f64(*number).ok_or_else(refused),
        Num::Dec(text) => text
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .ok_or_else(refused),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(source: &str, input: Value) -> Result<Value, String> {
        let expression = compile(source).map_err(|misread| misread.message)?;
        expression.evaluate(serde_json::from_value(input).unwrap())
    }

    #[test]
    fn an_expression_gives_its_one_value() {
        assert_eq!(
            run(".a.b // null", json!({"a": {"b": "x"}})),
            Ok(json!("x"))
        );
        assert_eq!(run("[.[] | . * 2]", json!([1, 2.5])), Ok(json!([2, 5.0])));
        assert_eq!(
            run("{(.k): .v, n: null}", json!({"k": "khóa", "v": true})),
            Ok(json!({"khóa": true, "n": null}))
        );
        assert_eq!(
            run(r#"gsub("<[^>]*>"; "")"#, json!("<p>Đã làm</p>")),
            Ok(json!("Đã làm"))
        );
        assert_eq!(run(".", json!(u64::MAX)), Ok(json!(u64::MAX)));
        assert_eq!(run("1.50", json!(null)), Ok(json!(1.5)));
    }

    #[test]
    fn no_value_and_two_values_are_errors_that_say_so() {
        assert!(run("empty", json!(1)).unwrap_err().contains("no value"));
        assert!(
            run(".[]", json!([1, 2]))
                .unwrap_err()
                .contains("more than one value")
        );
        // The second of values without end is enough to know.
        assert!(
            run("repeat(1)", json!(1))
                .unwrap_err()
                .contains("more than one value")
        );
    }

    #[test]
    fn an_error_of_the_expression_is_told_on_one_short_line() {
        let error = run(".a", json!(["x\ny".repeat(500)])).unwrap_err();
        assert!(error.starts_with("cannot index"), "{error}");
        assert!(!error.contains('\n') && error.chars().count() <= LONGEST_SHOWN + 1);
        assert_eq!(
            run(r#"error("thiếu mã")"#, json!(1)),
            Err("thiếu mã".to_owned())
        );
    }

    #[test]
    fn what_sees_more_than_the_input_is_not_there() {
        for source in [
            "now",
            "env",
            "$ENV",
            "input",
            "[inputs]",
            "halt",
            "halt_error",
            "halt(1)",
            "debug",
            "debug(1)",
            "stderr",
            "input_filename",
            "localtime",
            "strflocaltime(\"%H\")",
        ] {
            let misread = compile(source)
                .err()
                .unwrap_or_else(|| panic!("{source} compiled"));
            assert!(
                misread.message.contains("is not available"),
                "{source}: {}",
                misread.message
            );
        }
        for source in [
            r#"import "a" as a; ."#,
            r#"include "a"; ."#,
            r#"import "a" as $a; $a"#,
        ] {
            assert!(
                compile(source)
                    .err()
                    .unwrap()
                    .message
                    .contains("no other files"),
                "{source}"
            );
        }
    }

    #[test]
    fn a_misread_expression_says_where_and_what() {
        let misread = |source| compile(source).err().unwrap();
        assert_eq!(
            misread(".a | nosuch(1; 2)"),
            Misread {
                offset: 5,
                message: "there is no filter nosuch with 2 arguments".into()
            }
        );
        assert_eq!(misread(".a | $b").message, "there is no variable $b");
        assert_eq!(
            misread("if . then 1"),
            Misread {
                offset: 11,
                message: "expected else or end, found the end".into()
            }
        );
        assert_eq!(misread(".a\n| ]").offset, 5);
        assert_eq!(misread("").offset, 0);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(
            run("nan", json!(1))
                .unwrap_err()
                .contains("JSON cannot hold")
        );
        assert!(run("tobytes", json!("x")).unwrap_err().contains("bytes"));
        assert!(run("{(1|tostring): 1} | {(.): 2}", json!(1)).is_err());
        assert!(
            run("reduce range(200) as $n (1; [.])", json!(1))
                .unwrap_err()
                .contains("100 deep")
        );
    }
}
