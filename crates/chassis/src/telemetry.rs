//! Spans for a collector (OTLP over HTTP), created only when `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Crates create them with
//! the target [`web::trace::TARGET`]. The trace context (`traceparent`) always travels with requests and events.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::logging::{Source, SpanLayer};

/// The timeout of a collector that does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The exporter; [`Telemetry::shutdown`] sends the remaining spans.
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Starts the exporter and returns its layer; neither exists without an endpoint. Must run inside a Tokio runtime.
pub(crate) fn start(
    endpoint: Option<&str>,
    source: &Source,
) -> Result<(Telemetry, Option<SpanLayer>), ExporterBuildError> {
    let Some(endpoint) = endpoint else { return Ok((Telemetry(None), None)) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(TIMEOUT)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .with_resource(resource(source))
        .build();
    // For crates that create spans with OpenTelemetry's own API.
    opentelemetry::global::set_tracer_provider(provider.clone());
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(source.service))
        .with_filter(Targets::new().with_target(web::trace::TARGET, LevelFilter::DEBUG));
    Ok((Telemetry(Some(provider)), Some(layer.boxed())))
}

fn resource(source: &Source) -> Resource {
    let instance = source.instance.clone().map(|name| KeyValue::new("service.instance.id", name));
    Resource::builder().with_service_name(source.service).with_attributes(instance).build()
}

impl Telemetry {
    /// Sends the remaining spans, for at most two seconds.
    pub(crate) async fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        // The exporter runs on this runtime, so the blocking wait needs a thread of its own.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown());
        if !matches!(tokio::time::timeout(TIMEOUT, stopped).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tower::ServiceExt;
    use tracing_subscriber::layer::SubscriberExt;
    use web::Traceparent;

    use super::*;

    const TRACE: [u8; 16] =
        [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Receives one request, answers it, and returns it.
    async fn collect(listener: TcpListener) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(TRACE.len()).any(|window| window == TRACE) {
            let length = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..length]);
            assert_ne!(length, 0, "the exporter closed the connection");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        request
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_becomes_a_span_of_the_callers_trace() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collected = tokio::spawn(collect(listener));
        let source = Source { service: "order", instance: None };
        let (exporter, layer) = start(Some(&endpoint), &source).unwrap();

        let api = web::server::plain(
            Router::new().route("/orders/{id}", get(|trace: Traceparent| async { trace.0 })),
        );
        let request =
            Request::get("/orders/1?claim=secret").header("traceparent", CALLER).body(Body::empty()).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        let response = {
            let _here = tracing::subscriber::set_default(subscriber);
            api.oneshot(request).await.unwrap()
        };
        let own = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let own = String::from_utf8(own.to_vec()).unwrap();
        assert!(own.starts_with(&CALLER[..36]) && own.ends_with("-01") && own != CALLER, "{own}");

        exporter.shutdown().await;
        let request =
            tokio::time::timeout(Duration::from_secs(5), collected).await.expect("spans arrive").unwrap();
        let text = String::from_utf8_lossy(&request);
        assert!(text.starts_with("POST /v1/traces ") && text.contains("GET /orders/{id}"), "{text}");
        assert!(!text.contains("secret"));
    }
}
