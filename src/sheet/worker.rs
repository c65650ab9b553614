//! The parsing process: one table of strangers, then the end.
//!
//! The request is one line of JSON on its input, followed by the bytes of the file; the answer is JSON on its output. It limits
//! its own memory and CPU time before it reads anything but that line, and opens no file.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::table::{Limits, Table, read_workbook};
use crate::process;

/// The hidden argument by which this program becomes a parsing process.
pub const WORKER_ARGUMENT: &str = "parse-worker";

/// Longest first line of a request, in bytes.
const REQUEST_BYTES: u64 = 64 << 10;

/// What is asked, in the first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub name: String,
    pub sheet: Option<String>,
    pub limits: Limits,
}

/// What is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Table(Table),
    Refused(String),
}

/// The parsing process: reads one request from standard input, answers on standard output, returns the exit code.
///
/// To be called before anything else is set up, in particular before threads and the runtime.
pub fn worker_main() -> i32 {
    match serve(
        &mut BufReader::new(io::stdin().lock()),
        &mut io::stdout().lock(),
        limit_self,
    ) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{WORKER_ARGUMENT}: {error}");
            1
        }
    }
}

fn serve(
    input: &mut impl BufRead,
    output: &mut impl Write,
    limit: impl FnOnce(&Limits) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    input.take(REQUEST_BYTES).read_until(b'\n', &mut line)?;
    let request: Request = serde_json::from_slice(&line)?;
    limit(&request.limits)?;
    let mut bytes = Vec::new();
    input
        .take(request.limits.file_bytes + 1)
        .read_to_end(&mut bytes)?;
    let answer = match read_workbook(
        &request.name,
        &bytes,
        request.sheet.as_deref(),
        &request.limits,
    ) {
        Ok(table) => Answer::Table(table),
        Err(error) => Answer::Refused(error.to_string()),
    };
    let mut output = io::BufWriter::new(output);
    serde_json::to_writer(&mut output, &answer)?;
    output.flush()
}

fn limit_self(limits: &Limits) -> io::Result<()> {
    process::limit_self(limits.memory_bytes)?;
    process::limit_cpu(limits.cpu_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &[u8] = "STT,Nhiệm vụ\n1,Làm\n".as_bytes();

    fn served(name: &str, bytes: &[u8]) -> Answer {
        let request = Request {
            name: name.to_owned(),
            sheet: None,
            limits: Limits::default(),
        };
        let mut input = serde_json::to_vec(&request).unwrap();
        input.push(b'\n');
        input.extend_from_slice(bytes);
        let mut output = Vec::new();
        serve(&mut input.as_slice(), &mut output, |_| Ok(())).unwrap();
        serde_json::from_slice(&output).unwrap()
    }

    #[test]
    fn a_table_passes_through_the_protocol_unchanged() {
        let expected = read_workbook("plan.csv", PLAN, None, &Limits::default()).unwrap();
        assert!(matches!(served("plan.csv", PLAN), Answer::Table(table) if table == expected));
        assert!(
            matches!(served("plan.xlsx", PLAN), Answer::Refused(message) if message.contains("plan.xlsx"))
        );
    }
}
