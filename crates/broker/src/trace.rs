//! Spans of what was handled, for a process that has set OpenTelemetry's global tracer provider and propagator; in any
//! other nothing is made.
//!
//! Each event is a span of the trace that it came from, so that what one request caused is one trace through all
//! services. What was handled together is told by links to a span of the batch.

use std::time::{Duration, SystemTime};

use envelope::names;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};

use crate::fold::Outcome;
use crate::record::Record;

/// The records of a committed batch that had an effect.
pub(crate) fn handled(topic: &'static str, records: &[Record], outcomes: &[Outcome], took: Duration) {
    let traced: Vec<(&Record, Context)> = global::get_text_map_propagator(|propagator| {
        let applied = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied);
        let traced = applied.map(|(record, _)| (record, propagator.extract(&Headers(record))));
        traced.filter(|(_, context)| context.span().span_context().is_sampled()).collect()
    });
    if traced.is_empty() {
        return;
    }
    let tracer = global::tracer("broker");
    let started = SystemTime::now() - took;
    let span = |name: String, record: &Record| {
        SpanBuilder::from_name(name).with_kind(SpanKind::Consumer).with_start_time(started).with_attributes([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", topic),
            KeyValue::new("messaging.destination.partition.id", record.partition.to_string()),
        ])
    };
    let batch = (records.len() > 1).then(|| {
        let links = traced.iter().map(|(_, context)| link(context.span().span_context())).collect();
        let size =
            KeyValue::new("messaging.batch.message_count", i64::try_from(records.len()).unwrap_or(i64::MAX));
        let builder = span(format!("process {topic}"), traced[0].0).with_links(links);
        let mut batch = tracer.build_with_context(builder, &Context::new());
        batch.set_attribute(size);
        batch.end();
        batch.span_context().clone()
    });
    for (record, context) in &traced {
        let name = format!("process {topic} {}", record.ce_type().unwrap_or_default());
        let mut builder = span(name, record).with_links(batch.iter().map(link).collect());
        let offset = KeyValue::new("messaging.kafka.offset", record.offset);
        builder.attributes.get_or_insert_default().push(offset);
        tracer.build_with_context(builder, context).end();
    }
}

fn link(context: &SpanContext) -> Link {
    Link::with_context(context.clone())
}

/// What a propagator reads of a record.
struct Headers<'a>(&'a Record);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header(key).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![names::TRACEPARENT]
    }
}
