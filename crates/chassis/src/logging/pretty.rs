//! Lines for people: the time (UTC), the instance, the message, then the fields in grey. A notice is highlighted, and its
//! text follows as a block.

use std::fmt;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use super::{NOTICE, Source};

const TIME: StaticFormatDescription = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
/// Foreground colours that are readable on light and dark backgrounds.
const COLOURS: [u8; 6] = [36, 35, 34, 32, 33, 96];
const BOLD: &str = "1";
const DIM: &str = "2";
const NOTICE_STYLE: &str = "1;7";

pub(super) struct Pretty {
    name: String,
    colour: String,
    coloured: bool,
}

impl Pretty {
    pub(super) fn new(source: &Source, coloured: bool) -> Self {
        let name = source.instance.as_deref().unwrap_or(source.service);
        // No list of services exists, so the colour is a hash of the name.
        let hash = source.service.bytes().fold(0_u8, |hash, byte| hash.wrapping_mul(7).wrapping_add(byte));
        let colour = COLOURS[usize::from(hash) % COLOURS.len()].to_string();
        Self { name: format!("{name:<12}"), colour, coloured }
    }

    fn paint(&self, writer: &mut Writer<'_>, style: &str, text: &str) -> fmt::Result {
        if self.coloured { write!(writer, "\x1b[{style}m{text}\x1b[0m") } else { writer.write_str(text) }
    }

    fn level(&self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        match level {
            Level::ERROR => self.paint(writer, "1;31", "ERROR "),
            Level::WARN => self.paint(writer, "33", "WARN "),
            Level::INFO => Ok(()),
            _ => self.paint(writer, DIM, "debug "),
        }
    }

    /// Writes `name=value`, with quotes where the value has spaces.
    fn pair(&self, writer: &mut Writer<'_>, name: &str, value: &Value) -> fmt::Result {
        let value = match value {
            Value::String(text) if text.is_empty() || text.contains(' ') => {
                format!("\"{}\"", escape::text(text))
            }
            Value::String(text) => escape::text(text).into_owned(),
            other => other.to_string(),
        };
        writer.write_char(' ')?;
        self.paint(writer, DIM, &format!("{name}={value}"))
    }
}

impl<S> FormatEvent<S, JsonFields> for Pretty
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
        let notice = metadata.target() == NOTICE;
        let mut fields = Fields::of(context, event);
        fields.take("traceparent");
        if *metadata.level() == Level::INFO {
            // The message says it.
            fields.take("event_type");
        }
        let text = if notice { fields.take("text") } else { None };
        let message = escape::text(&fields.message);

        let time = OffsetDateTime::now_utc().format(TIME).map_err(|_| fmt::Error)?;
        self.paint(&mut writer, DIM, &time)?;
        writer.write_char(' ')?;
        self.paint(&mut writer, &self.colour, &self.name)?;
        writer.write_char(' ')?;
        self.level(&mut writer, *metadata.level())?;
        if notice {
            self.paint(&mut writer, NOTICE_STYLE, &format!(" \u{2709} {message} "))?;
        } else {
            self.paint(&mut writer, if *metadata.level() <= Level::WARN { BOLD } else { "0" }, &message)?;
        }
        for (name, value) in &fields.pairs {
            self.pair(&mut writer, name, value)?;
        }
        writer.write_char('\n')?;
        for line in text.as_ref().and_then(Value::as_str).unwrap_or_default().lines() {
            self.paint(&mut writer, &self.colour, "             \u{2502} ")?;
            writeln!(writer, "{}", escape::text(line))?;
        }
        Ok(())
    }
}
