//! Log output: one place that decides what is written, how, and where (standard error).
//!
//! Control characters in logged input are escaped by the subscriber (tracing-subscriber 0.3.20 and later,
//! RUSTSEC-2025-0055), so a record's text cannot paint the operator's terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// The environment variable with a finer filter than `log.level`, such as `nqsync=debug,hyper=warn`.
pub const FILTER_VARIABLE: &str = "NQSYNC_LOG";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read; nothing was set up.
    #[error(
        "{FILTER_VARIABLE} {found:?} is not a filter; write for example nqsync=debug,hyper=warn"
    )]
    Filter {
        /// What was found.
        found: String,
        /// What the library says about it.
        #[source]
        source: ParseError,
    },
    /// Logging was set up before in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Starts logging to standard error for the whole process. `filter` is the value of [`FILTER_VARIABLE`].
pub fn init(log: &Log, filter: Option<&str>) -> Result<(), TelemetryError> {
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let subscriber = subscriber(log, filter, colours, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)
}

fn subscriber<W>(
    log: &Log,
    filter: Option<&str>,
    colours: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(env_filter(log, filter)?)
        .with_writer(writer)
        // A line that cannot be written, as on a disk that has failed, must not end whoever wanted to say it.
        .log_internal_errors(false);
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// Libraries speak at `warn`, unless the filter or the level says more or less: what hyper does to each connection is
/// no news at a commune.
fn env_filter(log: &Log, filter: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let text = match filter.map(str::trim).filter(|f| !f.is_empty()) {
        Some(filter) => filter.to_owned(),
        None => match log.level.as_str() {
            "info" | "debug" => format!("warn,nqsync={0},nqsync_core={0}", log.level),
            level => level.to_owned(),
        },
    };
    EnvFilter::builder()
        .parse(&text)
        .map_err(|source| TelemetryError::Filter {
            found: text,
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: Option<&str>, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let log = Log {
            level: "info".into(),
            format,
        };
        let subscriber = subscriber(&log, filter, false, move || sink.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn logged_input_cannot_send_control_characters_to_the_terminal() {
        let text = logged(LogFormat::Text, None, || {
            tracing::info!("from a peer: {}", "\x1b[2Jgone\x07")
        });
        assert!(text.contains("gone"));
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
    }

    #[test]
    fn json_lines_are_one_object_each_with_searchable_fields() {
        let text = logged(LogFormat::Json, None, || {
            tracing::info!(count = 3, "stored 3 changes")
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(
            (line["message"].as_str(), line["count"].as_i64()),
            (Some("stored 3 changes"), Some(3))
        );
    }

    #[test]
    fn the_variable_replaces_the_configured_level() {
        let work = || tracing::debug!("detail");
        assert_eq!(logged(LogFormat::Text, None, work), "");
        assert!(logged(LogFormat::Text, Some("nqsync=debug"), work).contains("detail"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let log = Log {
            level: "info".into(),
            format: LogFormat::Text,
        };
        let error = init(&log, Some("nqsync=loud")).unwrap_err();
        assert!(error.to_string().contains("nqsync=loud"), "{error}");
    }
}
