//! From the bytes of a batch to lines that can be judged one by one.

use std::io::{BufRead, BufReader, Read};

use nqsync_core::protocol::{
    BadLine, Line, MAX_BATCH_LINES, MAX_WINDOW_LOG, Refused, parse_line, running_hash,
};

use crate::store::links::Position;

/// A line as it came, with what could be read of it.
pub struct Incoming {
    pub(super) text: Box<str>,
    pub(super) line: Result<Line, BadLine>,
}

/// Unpacks a batch within its limits and reads its lines. Done outside the writer thread.
pub fn decode(
    body: &[u8],
    batch_bytes: usize,
    record_bytes: usize,
) -> Result<Vec<Incoming>, Refused> {
    let unreadable = |detail: String| {
        Refused::new(
            "unreadable",
            format!("the batch cannot be unpacked: {detail}"),
        )
    };
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(|e| unreadable(e.to_string()))?;
    decoder
        .window_log_max(MAX_WINDOW_LOG)
        .map_err(|e| unreadable(e.to_string()))?;
    let mut unpacked = BufReader::new(decoder.take(batch_bytes as u64 + 1));
    let (mut lines, mut bytes, mut line) = (Vec::new(), 0, Vec::new());
    // Line by line: the whole text beside what is made of it would cost its size once more.
    loop {
        line.clear();
        let read = unpacked
            .read_until(b'\n', &mut line)
            .map_err(|e| unreadable(e.to_string()))?;
        bytes += read;
        if bytes > batch_bytes {
            let message =
                format!("a batch may have {batch_bytes} bytes when unpacked; this one has more");
            return Err(Refused::new("too_large", message));
        }
        if read == 0 {
            return Ok(lines);
        }
        let text = std::str::from_utf8(&line).map_err(|e| unreadable(e.to_string()))?;
        let text = match text.strip_suffix('\n') {
            Some(ended) => ended.strip_suffix('\r').unwrap_or(ended),
            None => text,
        };
        if text.is_empty() {
            continue;
        }
        if lines.len() == MAX_BATCH_LINES {
            let message = format!("a batch may have {MAX_BATCH_LINES} lines; this one has more");
            return Err(Refused::new("too_large", message));
        }
        lines.push(read_line(text, record_bytes));
    }
}

/// A batch that came over a line: its lines, and where a link stands once they are taken in. `before`: where it stood.
pub fn unpack(
    body: &[u8],
    number: u64,
    before: Vec<u8>,
    batch_bytes: usize,
    record_bytes: usize,
) -> Result<(Vec<Incoming>, Position), Refused> {
    let hash = running_hash(&before, number, body).to_vec();
    let lines = decode(body, batch_bytes, record_bytes)?;
    let position = Position {
        batch: number,
        hash,
        before,
    };
    Ok((lines, position))
}

/// One line that did not come in a batch.
pub fn line(text: &str) -> Incoming {
    read_line(text, usize::MAX)
}

/// One line, of at most so many bytes.
pub(super) fn read_line(text: &str, limit: usize) -> Incoming {
    if text.len() <= limit {
        return Incoming {
            line: parse_line(text),
            text: text.into(),
        };
    }
    // The name stands in front, so that the sender learns which record is too large.
    let id = text
        .get(..200)
        .and_then(|head| head.split(r#""id":""#).nth(1))
        .and_then(|rest| rest.get(..36));
    let bad = BadLine {
        kind: String::new(),
        id: id.and_then(|id| id.parse().ok()),
        code: "too_large",
        reason: format!(
            "a record may have {limit} bytes; this one has {}",
            text.len()
        ),
    };
    Incoming {
        text: "".into(),
        line: Err(bad),
    }
}
