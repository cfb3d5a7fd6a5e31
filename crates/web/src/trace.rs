//! The trace of a request (W3C Trace Context). A caller's `traceparent` is continued; without one, a new trace begins
//! here, whether or not spans are recorded. Events carry the trace, so one order can be followed through the logs
//! of all services.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::Problem;

/// The target of the spans that are recorded when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and not created otherwise.
pub const TARGET: &str = "traced";
const TRACEPARENT: &str = "traceparent";

/// The `traceparent` of the current request, for the events that it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(pub String);

impl Traceparent {
    /// Returns the trace of a request from its headers and its span. The span becomes a child of the caller's span,
    /// and the parent of all that follows. If spans are not recorded, the caller's `traceparent` is passed on.
    pub(crate) fn of(headers: &HeaderMap, span: &Span) -> Self {
        let propagator = TraceContextPropagator::new();
        let mut context = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
        // Fails only where spans are not recorded; then there is no parent to set.
        let _ = span.set_parent(context.clone());
        let own = span.context();
        if own.span().span_context().is_valid() {
            context = own;
        } else if !context.span().span_context().is_valid() {
            context = Context::new().with_remote_span_context(begin());
        }
        let mut carrier = HashMap::new();
        propagator.inject_context(&context, &mut carrier);
        Self(carrier.remove(TRACEPARENT).unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Traceparent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let here = parts.extensions.get::<Self>().cloned();
        Ok(here.unwrap_or_else(|| Self::of(&parts.headers, &Span::none())))
    }
}

/// Returns a new trace that is not recorded.
fn begin() -> SpanContext {
    let ids = RandomIdGenerator::default();
    let (trace, span) = (ids.new_trace_id(), ids.new_span_id());
    SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, false, TraceState::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(header: &'static str) -> String {
        let headers = [(TRACEPARENT.parse().unwrap(), header.parse().unwrap())].into_iter().collect();
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
            assert!(begun.len() == CALLER.len() && begun.ends_with("-00"), "{begun}");
        }
        assert_ne!(of(""), of(""));
    }
}
