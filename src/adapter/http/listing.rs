//! Pages: what is asked for next, and when a listing cannot be right. Pure.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, LINK};
use serde_json::{Value, json};

use super::Vars;
use super::settings::{Limits, PagingKind, StreamSettings};
use crate::adapter::engine::{EngineError, Position, Span};

/// Records asked for at once where the profile does not say.
const LIMIT: usize = 100;

/// One question for a page.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What fills the placeholders.
    pub vars: Vars,
    /// Query parameters of the paging.
    pub query: Vec<(String, String)>,
    /// A whole address that an earlier answer gave.
    pub link: Option<String>,
    /// Number of the page or of the records before it.
    number: u64,
}

/// What a listing has shown so far.
#[derive(Default)]
pub struct Seen {
    pages: usize,
    rows: u64,
    first_row: Option<String>,
    positions: HashSet<String>,
}

/// The question for the page that begins at a position.
pub fn asked(http: &StreamSettings, span: &Span, from: &Position) -> Result<Asked, EngineError> {
    let paging = &http.paging;
    let limit = paging.limit.unwrap_or(LIMIT);
    let first = match paging.kind {
        PagingKind::Page => paging.first.unwrap_or(1),
        _ => paging.first.unwrap_or(0),
    };
    let at = from.0.as_ref();
    let mut asked = Asked {
        number: at.and_then(Value::as_u64).unwrap_or(first),
        ..Asked::default()
    };
    let text = at.and_then(Value::as_str).map(str::to_owned);
    let (name, value) = match paging.kind {
        PagingKind::None => ("page", String::new()),
        PagingKind::Page => ("page", asked.number.to_string()),
        PagingKind::Offset => ("offset", asked.number.to_string()),
        PagingKind::Cursor => ("cursor", text.unwrap_or_default()),
        PagingKind::Link => {
            asked.link = text;
            ("page", String::new())
        }
    };
    if let Some(parameter) = paging.parameter.as_ref().filter(|_| !value.is_empty()) {
        asked.query.push((parameter.clone(), value.clone()));
    }
    if let Some(parameter) = &paging.limit_parameter {
        asked.query.push((parameter.clone(), limit.to_string()));
    }
    asked.vars.insert(name, value);
    asked.vars.insert("limit", limit.to_string());
    asked.vars.insert("since", String::new());
    if let (Span::Since(since), Some(changed)) = (span, &http.changed_since) {
        let text = instant(*since - changed.overlap_s as i64 * 1000, &changed.format)?;
        if let Some(parameter) = &changed.parameter {
            asked.query.push((parameter.clone(), text.clone()));
        }
        asked.vars.insert("since", text);
    }
    Ok(asked)
}

fn instant(ms: i64, format: &str) -> Result<String, EngineError> {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    match format {
        "iso" => Ok(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "epoch" => Ok((ms / 1000).to_string()),
        "epoch_ms" => Ok(ms.to_string()),
        pattern if pattern.contains('%') => Ok(at.strftime(pattern).to_string()),
        other => Err(EngineError::NotAllowed(format!(
            "changed_since.format is \"{other}\"; write iso, epoch, epoch_ms or a pattern with %"
        ))),
    }
}

impl Seen {
    /// Where the next page begins. A listing that goes round in circles, is longer than is allowed, or does not have as many
    /// records as it says is not believed.
    #[allow(clippy::too_many_arguments)] // One answer, taken apart.
    pub fn next(
        &mut self,
        http: &StreamSettings,
        limits: &Limits,
        asked: &Asked,
        records: &[Value],
        next: Option<Value>,
        linked: Option<String>,
        total: Option<u64>,
    ) -> Result<Option<Position>, EngineError> {
        self.pages += 1;
        self.rows += records.len() as u64;
        if records.len() > limits.page_rows {
            let text = format!(
                "a page has {} records, {} are allowed (page_rows)",
                records.len(),
                limits.page_rows
            );
            return Err(EngineError::Limit(text));
        }
        if self.pages > limits.pages {
            return Err(EngineError::Limit(format!(
                "more than {} pages (pages)",
                limits.pages
            )));
        }
        let first = records.first().map(Value::to_string);
        let numbered = matches!(http.paging.kind, PagingKind::Page | PagingKind::Offset);
        if numbered && self.pages > 1 && first.is_some() && first == self.first_row {
            let text = "a page comes again under the next number: the system does not divide its list as the profile says";
            return Err(EngineError::Unexpected(text.to_owned()));
        }
        self.first_row = first;
        let limit = http.paging.limit.unwrap_or(LIMIT);
        let more = total.map_or(records.len() >= limit, |total| self.rows < total);
        let position = match http.paging.kind {
            PagingKind::None => None,
            PagingKind::Page => (more && !records.is_empty()).then(|| json!(asked.number + 1)),
            PagingKind::Offset => {
                (more && !records.is_empty()).then(|| json!(asked.number + records.len() as u64))
            }
            PagingKind::Cursor => next.and_then(cursor),
            PagingKind::Link => next.and_then(cursor).or(linked.map(Value::from)),
        };
        if let Some(position) = &position
            && !self.positions.insert(position.to_string())
        {
            let text = "the listing goes round in circles: a cursor or link comes again";
            return Err(EngineError::Unexpected(text.to_owned()));
        }
        if position.is_none()
            && let Some(total) = total.filter(|total| *total > self.rows)
        {
            let text = format!(
                "the listing says {total} records and has {}: a page is missing",
                self.rows
            );
            return Err(EngineError::Unexpected(text));
        }
        Ok(position.map(|position| Position(Some(position))))
    }
}

/// A cursor or a link; an empty one is none.
fn cursor(value: Value) -> Option<Value> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(Value::String(text)),
        Value::Number(number) => Some(Value::String(number.to_string())),
        _ => None,
    }
}

/// The link to the next page in the header `Link` (RFC 8288).
pub fn linked(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LINK)?.to_str().ok()?;
    let mut links = text.split(",<").flat_map(|part| part.split(", <"));
    let next = links.find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let address = next.trim().trim_start_matches('<').split('>').next()?;
    (!address.is_empty()).then(|| address.to_owned())
}

/// The header `Date` in milliseconds since 1970.
pub fn clock(text: &str) -> Option<i64> {
    let zoned = rfc2822::parse(&text.replace("GMT", "+0000")).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(paging: &str) -> StreamSettings {
        toml::from_str(&format!("list = {{ path = \"/x\" }}\n[paging]\n{paging}"))
            .expect("settings")
    }

    fn page(from: usize, to: usize) -> Vec<Value> {
        (from..to).map(|id| json!({ "id": id })).collect()
    }

    fn step(
        seen: &mut Seen,
        http: &StreamSettings,
        from: &Position,
        records: &[Value],
        total: Option<u64>,
    ) -> Result<Option<Position>, EngineError> {
        let asked = asked(http, &Span::Full, from)?;
        seen.next(http, &Limits::default(), &asked, records, None, None, total)
    }

    #[test]
    fn pages_go_on_until_one_is_not_full() {
        let http = http("kind = \"page\"\nlimit = 2\nparameter = \"p\"");
        let mut seen = Seen::default();
        let second = step(&mut seen, &http, &Position::default(), &page(0, 2), None).expect("good");
        let second = second.expect("a second page");
        assert_eq!(
            asked(&http, &Span::Full, &second).expect("asked").query[0],
            ("p".into(), "2".into())
        );
        assert_eq!(step(&mut seen, &http, &second, &page(2, 3), None), Ok(None));
    }

    #[test]
    fn h4_a_page_twice_and_a_missing_page_are_not_believed() {
        let http = http("kind = \"offset\"\nlimit = 2");
        let mut seen = Seen::default();
        let second = step(&mut seen, &http, &Position::default(), &page(0, 2), None).expect("good");
        let again = step(&mut seen, &http, &second.expect("more"), &page(0, 2), None);
        assert!(
            matches!(again, Err(EngineError::Unexpected(_))),
            "{again:?}"
        );
        let short = step(
            &mut Seen::default(),
            &http,
            &Position::default(),
            &[],
            Some(5),
        );
        assert!(
            matches!(short, Err(EngineError::Unexpected(_))),
            "{short:?}"
        );
    }

    #[test]
    fn changes_are_asked_for_from_before_the_last_listing_on() {
        let mut http = http("kind = \"none\"");
        http.changed_since =
            toml::from_str("parameter = \"since\"\noverlap_s = 60").expect("settings");
        let asked =
            asked(&http, &Span::Since(1_774_148_400_000), &Position::default()).expect("asked");
        assert_eq!(
            asked.query,
            [("since".to_owned(), "2026-03-22T02:59:00Z".to_owned())]
        );
    }

    #[test]
    fn the_next_link_and_the_clock_are_read_from_headers() {
        let mut headers = HeaderMap::new();
        let text = "<https://t/x?page=1>; rel=\"prev\", <https://t/x?page=3>; rel=\"next\"";
        headers.insert(LINK, text.parse().expect("a header"));
        assert_eq!(linked(&headers).as_deref(), Some("https://t/x?page=3"));
        assert_eq!(
            clock("Sun, 22 Mar 2026 03:00:00 GMT"),
            Some(1_774_148_400_000)
        );
    }
}
