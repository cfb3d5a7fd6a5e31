//! Log lines, one per event: `pretty` for people begins with the message, `json` for machines is a flat object.
//! Untrusted text is escaped in both. Lines go unbuffered to standard output, so none is lost when the process ends.

mod fields;
mod json;
mod pretty;

use anyhow::{Context as _, anyhow};
use tracing::Dispatch;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::settings::LogFormat;

/// The target of highlighted lines: `info!(target: NOTICE, text, "to j…@example.org: your order …")`. A field `text` of
/// several lines is shown below as a block.
pub const NOTICE: &str = "notice";

/// The default levels of libraries that log more than an operator wants (the broker crate reports rdkafka's errors; a pool replaces
/// connections that Postgres has closed, and need not log each), and of `audit`, operators' requests, which are logged at every
/// level. `RUST_LOG` can override each.
const QUIET: &str = "audit=info,librdkafka=warn,rdkafka=off,sqlx=warn,sqlx_core::pool=error,hyper=warn,\
                     hyper_util=warn,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn";

#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) service: &'static str,
    pub(crate) instance: Option<String>,
}

/// A further receiver of spans, see [`crate::telemetry`].
pub(crate) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

pub(crate) fn start(
    format: LogFormat,
    filter: &str,
    source: Source,
    spans: Option<SpanLayer>,
) -> anyhow::Result<()> {
    let traced = if spans.is_some() { format!(",{}=debug", web::trace::TARGET) } else { String::new() };
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}{traced}")).map_err(|error| {
        anyhow!("RUST_LOG: {error}; a level (info) or module=level, comma-separated, is expected")
    })?;
    // A service continues when the reader of its log has gone. An internal error on standard error would panic where both
    // outputs are the same pipe.
    let lines = fmt::layer().fmt_fields(JsonFields::new()).log_internal_errors(false);
    let lines = match format {
        LogFormat::Json => lines.event_format(json::Json::new(source)).boxed(),
        LogFormat::Pretty => lines.event_format(pretty::Pretty::new(&source, program::is_coloured())).boxed(),
    };
    joined(spans, lines, filter).try_init().context("logging was started twice")
}

type LineLayer = Box<dyn Layer<Layered<Option<SpanLayer>, Registry>> + Send + Sync>;

/// Combines the layers under one filter. A per-layer filter remembers, per thread, the last refused event: after code that
/// only asks whether a level is enabled (sqlx does after every query), the next line would be lost.
fn joined(spans: Option<SpanLayer>, lines: LineLayer, filter: EnvFilter) -> impl Into<Dispatch> {
    tracing_subscriber::registry().with(spans).with(lines).with(filter)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::{debug_span, error, info};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn source() -> Source {
        Source { service: "order", instance: Some("order-1".to_owned()) }
    }

    fn said(layer: SpanLayer, lines: &Lines, say: impl FnOnce()) -> String {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    fn pretty(coloured: bool, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let layer = fmt::layer().fmt_fields(JsonFields::new()).with_writer(lines.clone());
        said(layer.event_format(pretty::Pretty::new(&source(), coloured)).boxed(), &lines, say)
    }

    #[test]
    fn a_pretty_line_begins_with_the_message() {
        let text = pretty(false, || {
            info!(order_id = "0197", total = 12, traceparent = "00-a-b-01", note = "", "order placed");
            error!(cause = "a\x1b[2J b", "no stock");
            info!(target: NOTICE, text = "Dear j\u{202e},\nthanks", kind = "order_confirmed", "to j…@example.org");
        });
        let lines: Vec<&str> = text.lines().map(|line| line.get(13..).unwrap_or(line)).collect();
        assert_eq!(
            lines,
            [
                "order-1      order placed order_id=0197 total=12 note=\"\"",
                "order-1      ERROR no stock cause=\"a\\u{1b}[2J b\"",
                "order-1       ✉ to j…@example.org  kind=order_confirmed",
                "│ Dear j\\u{202e},",
                "│ thanks"
            ],
            "{text}"
        );
    }

    #[test]
    fn colours_are_an_option() {
        assert!(!pretty(false, || error!("x")).contains('\x1b'));
        assert!(pretty(true, || error!("x")).contains("\x1b[1;31mERROR"));
    }

    #[test]
    fn asking_whether_something_is_logged_loses_no_line() {
        let lines = Lines::default();
        let layer = fmt::layer().fmt_fields(JsonFields::new()).with_writer(lines.clone());
        let layer = layer.event_format(pretty::Pretty::new(&source(), false)).boxed();
        let dispatch: Dispatch = joined(None, layer, EnvFilter::new("info,quiet=warn")).into();
        tracing::dispatcher::with_default(&dispatch, || {
            assert!(!tracing::enabled!(target: "quiet", tracing::Level::INFO));
            info!("logged");
        });
        assert!(String::from_utf8(lines.0.lock().unwrap().clone()).unwrap().contains("logged"));
    }

    #[test]
    fn a_json_line_is_a_flat_object() {
        let lines = Lines::default();
        let layer = fmt::layer().fmt_fields(JsonFields::new()).with_writer(lines.clone());
        let text = said(layer.event_format(json::Json::new(source())).boxed(), &lines, || {
            let _batch = debug_span!("batch", topic = "orders", partition = 3).entered();
            info!(order_id = "0197", offset = 7, topic = "payments", traceparent = "00-abc-b-01", "a\nb");
        });
        let mut line: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert!(line.as_object_mut().unwrap().remove("timestamp").unwrap().as_str().unwrap().ends_with('Z'));
        assert_eq!(
            line,
            json!({"level": "INFO", "service": "order", "instance": "order-1", "message": "a\nb", "trace_id": "abc",
                "target": "chassis::logging::tests", "order_id": "0197", "offset": 7, "topic": "payments", "partition": 3})
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn hostile_text_is_escaped_and_parses_back_unchanged() {
        let lines = Lines::default();
        let layer = fmt::layer().fmt_fields(JsonFields::new()).with_writer(lines.clone());
        let hostile = "a\u{202e}\u{2028}\u{9b}2J\u{200b}b";
        let text = said(layer.event_format(json::Json::new(source())).boxed(), &lines, || {
            info!(name = hostile, "{hostile}");
        });
        assert!(text.trim_end().chars().all(|c| c.is_ascii() && !c.is_control()), "{text}");
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((line["name"].as_str(), line["message"].as_str()), (Some(hostile), Some(hostile)));
    }
}
