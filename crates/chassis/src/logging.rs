//! Log lines: for people (`pretty`) a line an event with what happened first, for machines (`json`) a flat
//! object a line. What outsiders supplied is escaped in both. Lines go straight to standard output, so none
//! is lost when the process ends.

mod fields;
mod json;
mod pretty;

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use crate::settings::LogFormat;

/// Events with this target stand out: `info!(target: NOTICE, text, "to j…@example.org: your order …")`. A field
/// `text` of several lines is shown below as a block.
pub const NOTICE: &str = "notice";

/// Libraries that say more than an operator wants; `RUST_LOG` may name them again.
const QUIET: &str = "librdkafka=warn,rdkafka=warn,sqlx=warn,hyper=warn,hyper_util=warn,opentelemetry=warn,\
                     opentelemetry_sdk=warn,opentelemetry-otlp=warn";

/// Who is logging.
#[derive(Debug, Clone)]
pub struct Source {
    /// The service.
    pub service: &'static str,
    /// The instance, where it has a name.
    pub instance: Option<String>,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG: {0}; a level (info) or module=level, comma-separated, is expected")]
    Filter(#[from] ParseError),
    /// Something else was installed before.
    #[error("logging was started twice")]
    Twice(#[from] TryInitError),
}

/// A further receiver of spans, see [`crate::telemetry`].
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging for the whole process.
pub fn start(
    format: LogFormat,
    filter: &str,
    source: Source,
    spans: Option<SpanLayer>,
) -> Result<(), LoggingError> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"))?;
    let lines = fmt::layer().fmt_fields(JsonFields::new());
    let lines = match format {
        LogFormat::Json => lines.event_format(json::Json::new(source)).boxed(),
        LogFormat::Pretty => lines.event_format(pretty::Pretty::new(&source, colour())).boxed(),
    };
    tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init()?;
    Ok(())
}

/// Colours on a terminal, or where `FORCE_COLOR` asks for them; `NO_COLOR` (no-color.org) wins.
fn colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    !set("NO_COLOR") && (set("FORCE_COLOR") || std::io::stdout().is_terminal())
}
