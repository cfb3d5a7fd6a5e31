//! Spans for a collector (OTLP over HTTP), made only when `OTEL_EXPORTER_OTLP_ENDPOINT` says where to send
//! them. Crates make them with the target [`web::trace::TARGET`]; the trace itself (`traceparent`) travels
//! with requests and events always.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::logging::{Source, SpanLayer};

/// A collector that does not answer holds nothing up for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The exporter; [`Telemetry::shutdown`] sends what is still here.
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts the exporter, inside a Tokio runtime; without an endpoint there is none, and no layer.
pub fn start(
    endpoint: Option<&str>,
    source: &Source,
) -> Result<(Telemetry, Option<SpanLayer>), ExporterBuildError> {
    let Some(endpoint) = endpoint else { return Ok((Telemetry(None), None)) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(PATIENCE)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .with_resource(resource(source))
        .build();
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
    /// Sends what is still here, as far as the collector takes it within two seconds.
    pub async fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        // The exporter runs on this runtime, so waiting for it must not hold a worker of it.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown());
        if !matches!(tokio::time::timeout(PATIENCE, stopped).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}
