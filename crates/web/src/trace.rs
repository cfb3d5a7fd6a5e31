//! The trace of a request (W3C Trace Context). A caller's `traceparent` is continued; without one, a new trace begins
//! here, whether or not spans are recorded. Events carry the trace, so one order can be followed through the logs
//! of all services.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::Problem;

/// The target of the spans that are recorded when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and not created otherwise.
pub const TARGET: &str = "traced";

/// The `traceparent` of the current request, for the events that it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(pub String);

impl Traceparent {
    /// Returns the trace of a request from its headers and its span. The span becomes a child of the caller's span,
    /// and the parent of all that follows. If spans are not recorded, the caller's `traceparent` is passed on.
    pub(crate) fn of(headers: &HeaderMap, span: &Span) -> Self {
        let caller = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse);
        if let Some(caller) = &caller {
            // Fails only where spans are not recorded; then there is no parent to set.
            let _ = span.set_parent(Context::new().with_remote_span_context(caller.clone()));
        }
        let own = span.context().span().span_context().clone();
        Self(format(&if own.is_valid() { own } else { caller.unwrap_or_else(begin) }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Traceparent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let here = parts.extensions.get::<Self>().cloned();
        Ok(here.unwrap_or_else(|| Self::of(&parts.headers, &Span::none())))
    }
}

/// Parses a `traceparent`; returns none for a malformed one, as the standard requires.
pub fn parse(header: &str) -> Option<SpanContext> {
    let [version, trace, span, flags] = *header.split('-').collect::<Vec<_>>() else {
        return None;
    };
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if version != "00" || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// Formats a `traceparent`.
pub fn format(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// Returns a new trace that is not recorded.
fn begin() -> SpanContext {
    let mut random = [0; 24];
    // Without randomness ids collide, which is no reason to refuse a request.
    let _ = getrandom::fill(&mut random);
    let [trace, span] = [&random[..16], &random[16..]];
    let trace = trace.iter().fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
    let span = span.iter().fold(0, |id: u64, byte| id << 8 | u64::from(*byte));
    SpanContext::new(
        trace.max(1).into(),
        span.max(1).into(),
        TraceFlags::NOT_SAMPLED,
        false,
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(header: &'static str) -> String {
        let headers = [("traceparent".parse().unwrap(), header.parse().unwrap())].into_iter().collect();
        Traceparent::of(&headers, &Span::none()).0
    }

    #[test]
    fn a_callers_trace_is_continued() {
        assert_eq!(of(CALLER), CALLER);
    }

    #[test]
    fn without_a_valid_traceparent_a_new_trace_begins() {
        for header in ["", "00-abc", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            let begun = of(header);
            assert!(parse(&begun).is_some() && begun.ends_with("-00"), "{begun}");
        }
        assert_ne!(of(""), of(""));
    }
}
