//! Spans of applied records, in processes that have set OpenTelemetry's global tracer provider and propagator.
//!
//! A batch is a span that links to its events. Each event is also a span of the trace that it came from, so that the effects
//! of one request form one trace through all services.

use std::time::{Duration, SystemTime};

use envelope::names;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};

use crate::handler::Outcome;
use crate::record::Record;

/// Records the spans of a committed batch: one for the batch, and one per applied record.
pub(crate) fn handled(topic: &'static str, records: &[Record], outcomes: &[Outcome], took: Duration) {
    let sampled: Vec<(&Record, Context)> = global::get_text_map_propagator(|propagator| {
        let applied = records.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied);
        let sampled = applied.map(|(record, _)| (record, propagator.extract(&Headers(record))));
        sampled.filter(|(_, context)| context.span().span_context().is_sampled()).collect()
    });
    if sampled.is_empty() {
        return;
    }
    let (tracer, started) = (global::tracer("broker"), SystemTime::now() - took);
    let span = |attributes: Vec<KeyValue>, links: Vec<Link>| {
        let common = [
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", topic),
        ];
        SpanBuilder::from_name(format!("process {topic}"))
            .with_kind(SpanKind::Consumer)
            .with_start_time(started)
            .with_attributes(common.into_iter().chain(attributes))
            .with_links(links)
    };
    let size = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let size = KeyValue::new("messaging.batch.message_count", size);
    let links = sampled.iter().map(|(_, context)| link(context.span().span_context())).collect();
    // The span of a batch with a single sampled record belongs to the trace of that record.
    let parent = if let [(_, context)] = sampled.as_slice() { context.clone() } else { Context::new() };
    let mut batch = tracer.build_with_context(span(vec![size], links), &parent);
    batch.end();
    if sampled.len() == 1 {
        return;
    }
    for (record, context) in &sampled {
        let place = vec![
            KeyValue::new("messaging.destination.partition.id", record.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", record.offset),
        ];
        tracer.build_with_context(span(place, vec![link(batch.span_context())]), context).end();
    }
}

fn link(context: &SpanContext) -> Link {
    Link::with_context(context.clone())
}

struct Headers<'a>(&'a Record);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header_text(key)
    }

    fn keys(&self) -> Vec<&str> {
        vec![names::TRACEPARENT]
    }
}
