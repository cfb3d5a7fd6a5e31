//! A trace collector for OpenTelemetry's exporters (OTLP over HTTP).

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::TcpListener;

/// A collector and the spans that it has received.
#[derive(Clone)]
pub struct Collector {
    spans: Arc<Mutex<Vec<Recorded>>>,
    url: String,
}

/// The fields of a span that tests check.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The service that sent the span (`service.name`).
    pub service: String,
    pub name: String,
    /// The trace id, in hex.
    pub trace: String,
    /// The ids of linked traces, in hex.
    pub links: Vec<String>,
}

impl Collector {
    /// Opens a collector on a free port, which runs until the test's runtime ends.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { spans: Arc::default(), url };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the spans of a trace that have arrived so far.
    pub fn trace(&self, id: &str) -> Vec<Recorded> {
        self.all().into_iter().filter(|span| span.trace == id).collect()
    }

    /// Returns all spans that have arrived so far.
    pub fn all(&self) -> Vec<Recorded> {
        self.spans.lock().unwrap().clone()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("an export request");
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attributes.into_iter().find(|pair| pair.key == "service.name");
        let Some(Value::StringValue(service)) = service.and_then(|pair| pair.value?.value) else {
            panic!("a span without a service");
        };
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Recorded {
            service: service.clone(),
            name: span.name,
            trace: hex(&span.trace_id),
            links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        });
        collector.spans.lock().unwrap().extend(spans);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
