//! From the bytes of a batch to lines that can be judged one by one.

use std::io::Read;

use nqsync_core::protocol::{BadLine, Line, MAX_BATCH_LINES, MAX_WINDOW_LOG, Refused, parse_line};

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
    let mut text = Vec::new();
    decoder
        .take(batch_bytes as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|e| unreadable(e.to_string()))?;
    if text.len() > batch_bytes {
        let message =
            format!("a batch may have {batch_bytes} bytes when unpacked; this one has more");
        return Err(Refused::new("too_large", message));
    }
    let text = String::from_utf8(text).map_err(|e| unreadable(e.to_string()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    // Counted before anything is made of them: a line of two bytes costs a hundred times that once it is read.
    if lines.clone().count() > MAX_BATCH_LINES {
        let message = format!("a batch may have {MAX_BATCH_LINES} lines; this one has more");
        return Err(Refused::new("too_large", message));
    }
    Ok(lines.map(|line| read_line(line, record_bytes)).collect())
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
