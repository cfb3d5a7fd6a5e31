//! The ops port: `/health/live`, `/health/ready`, `/health/consuming` and `/metrics`.
//!
//! Ready means that this process can serve its HTTP API (database and schema; not Kafka: an order service without Kafka
//! still takes orders). Consuming means that it reads all topics that it should. Both answer 200 or 503, with all findings.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::metrics::Metrics;

/// A check that takes longer counts as failed.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) ok: bool,
    /// Details for the operator.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) detail: Value,
}

impl Finding {
    pub(crate) fn new(ok: bool, detail: impl Into<Value>) -> Self {
        Self { ok, detail: detail.into() }
    }
}

type Check = Arc<dyn Fn() -> BoxFuture<'static, Finding> + Send + Sync>;

/// The checks behind the ops port.
#[derive(Clone, Default)]
pub(crate) struct Health {
    ready: Vec<(&'static str, Check)>,
    consuming: Vec<(&'static str, Check)>,
}

impl Health {
    /// Adds a check without which the HTTP API cannot be served.
    pub(crate) fn ready<F: Future<Output = Finding> + Send + 'static>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.ready.push((name, Arc::new(move || check().boxed())));
        self
    }

    /// Adds a check without which events are not read or published; `/health/ready` shows its finding too.
    pub(crate) fn consuming<F: Future<Output = Finding> + Send + 'static>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.consuming.push((name, Arc::new(move || check().boxed())));
        self
    }
}

pub(crate) fn router(health: Health, metrics: Metrics) -> Router {
    let write =
        move || async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) };
    routes(health).route("/metrics", get(write))
}

fn routes(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(|| async { Json(json!({"ok": true})) }))
        .route("/health/ready", get(ready))
        .route("/health/consuming", get(consuming))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let (needed, shown) = tokio::join!(run_checks(&health.ready), run_checks(&health.consuming));
    answer(needed, shown)
}

async fn consuming(State(health): State<Health>) -> Response {
    answer(run_checks(&health.consuming).await, Vec::new())
}

type Found = Vec<(&'static str, Finding)>;

async fn run_checks(checks: &[(&'static str, Check)]) -> Found {
    let one = async |(name, check): &(&'static str, Check)| {
        let found = tokio::time::timeout(TIMEOUT, check()).await;
        (*name, found.unwrap_or_else(|_| Finding::new(false, "no answer within 2 s")))
    };
    join_all(checks.iter().map(one)).await
}

/// Answers with all findings; those of `shown` do not change the status.
fn answer(needed: Found, shown: Found) -> Response {
    let ok = needed.iter().all(|(_, finding)| finding.ok);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let found = needed.into_iter().chain(shown);
    let checks: Map<_, _> = found.map(|(name, finding)| (name.to_owned(), json!(finding))).collect();
    (status, Json(json!({"ok": ok, "checks": checks}))).into_response()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::probe::{self, Unhealthy};

    async fn serve(health: Health) -> (std::net::SocketAddr, CancellationToken) {
        let listener = web::bind("127.0.0.1:0".parse().unwrap(), "OPS_LISTEN").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let server = web::Server::new("ops", web::Bounds::ops(), web::TrustedProxies::default());
        tokio::spawn(server.serve(listener, routes(health), stop.clone()));
        (address, stop)
    }

    #[tokio::test]
    async fn without_kafka_a_service_is_ready_and_says_so() {
        let health = Health::default()
            .ready("database", async || Finding::new(true, ()))
            .consuming("kafka", async || Finding::new(false, "no broker answers"));
        let (address, _stop) = serve(health.clone()).await;
        let body: Value = serde_json::from_str(&probe::ready(address).await.unwrap()).unwrap();
        let expected = json!({"ok": true, "checks": {
            "database": {"ok": true}, "kafka": {"ok": false, "detail": "no broker answers"}}});
        assert_eq!(body, expected);
        assert_eq!(consuming(State(health)).await.status(), 503);
    }

    #[tokio::test]
    async fn a_check_that_hangs_counts_as_failed() {
        let health = Health::default().ready("database", std::future::pending);
        let (address, stop) = serve(health).await;
        assert!(
            matches!(probe::ready(address).await, Err(Unhealthy::NotReady(body)) if body.contains("database"))
        );
        stop.cancel();
    }

    #[tokio::test]
    async fn a_service_that_does_not_run_is_unhealthy() {
        let gone =
            web::bind("127.0.0.1:0".parse().unwrap(), "OPS_LISTEN").await.unwrap().local_addr().unwrap();
        assert!(matches!(probe::ready(gone).await, Err(Unhealthy::Unreachable { .. })));
    }
}
