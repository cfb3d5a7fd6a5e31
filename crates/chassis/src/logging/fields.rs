//! Collects the fields of an event and of its spans.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The message of an event, and the fields of its spans followed by its own.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) pairs: Vec<(String, Value)>,
}

impl Fields {
    pub(super) fn of<S>(context: &FmtContext<'_, S, JsonFields>, event: &Event<'_>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let recorded = extensions.get::<FormattedFields<JsonFields>>();
            let recorded = recorded.and_then(|fields| serde_json::from_str::<Map<_, _>>(&fields.fields).ok());
            recorded.unwrap_or_default().into_iter().for_each(|(name, value)| fields.set(&name, value));
        }
        event.record(&mut fields);
        fields
    }

    /// Removes a field and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.remove(index).1)
    }

    /// Sets a field. Fields of inner spans and of the event replace those of outer spans.
    fn set(&mut self, name: &str, value: Value) {
        match self.pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((name.to_owned(), value)),
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // The bridge from the log crate adds fields `log.*`.
        if !field.name().starts_with("log.") {
            self.set(field.name(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.put(field, format!("{value:?}")),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
