//! JSON lines for machines: each is one flat object.

use std::fmt;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

use super::Source;
use super::fields::Fields;

pub(super) struct Json {
    source: Source,
}

impl Json {
    pub(super) fn new(source: Source) -> Self {
        Self { source }
    }
}

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut fields = Fields::of(context, event);
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", OffsetDateTime::now_utc().format(&Rfc3339).map_err(|_| fmt::Error)?.into());
        put("level", metadata.level().as_str().into());
        put("service", self.source.service.into());
        if let Some(instance) = &self.source.instance {
            put("instance", instance.as_str().into());
        }
        put("target", metadata.target().into());
        if let Some(Value::String(traceparent)) = fields.take("traceparent") {
            put("trace_id", traceparent.split('-').nth(1).unwrap_or_default().into());
        }
        put("message", fields.message.into());
        for (name, value) in fields.pairs {
            line.entry(name).or_insert(value);
        }
        writeln!(writer, "{}", escape::json(&Value::Object(line).to_string()))
    }
}
