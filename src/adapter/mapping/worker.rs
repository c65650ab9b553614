//! The mapping process itself: orders on standard input, one line each; answers on standard output, one line per input.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use jaq_core::load::{Arena, Error, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, data, unwrap_valr};
use jaq_json::Val;
use serde::Deserialize;
use serde_json::Value;

use super::child::Line;
use super::{MapLimits, Programs};
use crate::process::limit_self;

/// The hidden argument by which this program becomes a mapping process.
pub const WORKER_ARGUMENT: &str = "map-worker";

/// Names that look outside of their input, or end the program, under which nothing is found. A mapping is a function of
/// its input.
const LEFT_OUT: [&str; 12] = [
    "env",
    "now",
    "input",
    "inputs",
    "halt",
    "halt_error",
    "debug",
    "stderr",
    "localtime",
    "mktime",
    "strflocaltime",
    "input_filename",
];
type Compiled = BTreeMap<String, Vec<(String, Filter<data::JustLut<Val>>)>>;

#[derive(Deserialize)]
struct Begin {
    programs: Programs,
    limits: MapLimits,
}

#[derive(Deserialize)]
struct Order {
    set: String,
    inputs: Vec<Value>,
}

/// The mapping process: returns the exit code. To be called before threads and the runtime are set up.
pub fn worker_main() -> i32 {
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => 0,
        // The parent sees the end of the pipe and says what it was doing.
        Err(_) => 1,
    }
}

fn serve(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let begin: Begin = serde_json::from_str(&line)?;
    limit_self(begin.limits.memory_bytes, begin.limits.cpu_s)?;
    let compiled = match compile_all(&begin.programs) {
        Ok(compiled) => compiled,
        Err(refused) => return say(output, &refused),
    };
    say(output, &Line::Ready)?;
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let order: Order = serde_json::from_str(&line)?;
        let empty = Vec::new();
        let set = compiled.get(&order.set).unwrap_or(&empty);
        for input in order.inputs {
            // Each answer goes at once: the first input without one is the one that ended the process.
            say(output, &evaluate(set, input))?;
        }
    }
}

fn say(output: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    output.write_all(&bytes)?;
    output.flush()
}

fn compile_all(programs: &Programs) -> Result<Compiled, Line> {
    let mut compiled = Compiled::new();
    for (set, expressions) in programs {
        let filters = compiled.entry(set.clone()).or_default();
        for (name, code) in expressions {
            let filter = compile(code).map_err(|message| Line::Compile {
                set: set.clone(),
                name: name.clone(),
                message,
            })?;
            filters.push((name.clone(), filter));
        }
    }
    Ok(compiled)
}

fn compile(code: &str) -> Result<Filter<data::JustLut<Val>>, String> {
    let arena = Arena::default();
    let definitions = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let definitions = definitions.filter(|definition| !LEFT_OUT.contains(&definition.name));
    let functions = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let functions = functions.filter(|(name, _, _)| !LEFT_OUT.contains(name));
    let loaded = Loader::new(definitions).load(&arena, File { code, path: () });
    let modules = loaded.map_err(|errors| unread(errors.first().map(|(_, error)| error)))?;
    let compiled = Compiler::default().with_funs(functions).compile(modules);
    compiled.map_err(|errors| {
        let unknown = errors.iter().flat_map(|(_, names)| names);
        let named =
            unknown.map(|(name, kind)| format!("the {} {name} is not known", kind.as_str()));
        named.collect::<Vec<_>>().join("; ")
    })
}

/// What was expected where.
fn unread(error: Option<&Error<&str>>) -> String {
    let (expected, rest) = match error {
        Some(Error::Lex(errors)) => match errors.first() {
            Some((expected, rest)) => (expected.as_str(), *rest),
            None => ("a filter", ""),
        },
        Some(Error::Parse(errors)) => match errors.first() {
            Some((expected, rest)) => (expected.as_str(), *rest),
            None => ("a filter", ""),
        },
        _ => return "modules cannot be loaded".to_owned(),
    };
    let place = match rest.is_empty() {
        true => "at its end".to_owned(),
        false => format!("before {:?}", rest.chars().take(30).collect::<String>()),
    };
    format!("cannot be read: {expected} is expected {place}")
}

fn evaluate(set: &[(String, Filter<data::JustLut<Val>>)], input: Value) -> Line {
    let input: Val = match serde_json::from_value(input) {
        Ok(input) => input,
        Err(error) => return failed("", error.to_string()),
    };
    let mut values = BTreeMap::new();
    for (name, filter) in set {
        let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        let mut outputs = filter.id.run((context, input.clone())).map(unwrap_valr);
        let value = match (outputs.next(), outputs.next()) {
            (None, _) => return failed(name, "gives no value; it must give exactly one"),
            (Some(Err(error)), _) => return failed(name, error.to_string()),
            (Some(Ok(_)), Some(_)) => {
                return failed(name, "gives more than one value; it must give exactly one");
            }
            (Some(Ok(value)), None) => value,
        };
        // A value of the language may be more than JSON can say (NaN, bytes).
        match serde_json::from_str(&value.to_string()) {
            Ok(value) => values.insert(name.clone(), value),
            Err(_) => return failed(name, format!("gives {value}, which is not JSON")),
        };
    }
    Line::Values(values)
}

fn failed(name: &str, message: impl Into<String>) -> Line {
    Line::Failed {
        name: name.to_owned(),
        message: message.into(),
    }
}
