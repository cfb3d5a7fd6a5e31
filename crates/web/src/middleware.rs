//! The middleware around every request: its trace, its timeout, its line in the access log (level debug, with
//! the route and never the query string) and its metrics.

use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::client::{ClientAddress, Peer, TrustedProxies};
use crate::in_flight::InFlight;
use crate::operator::Act;
use crate::{Problem, Traceparent, trace};

/// The time after which a request is answered with 503. Callers are promised an answer within three seconds.
const TIMEOUT: Duration = Duration::from_millis(2800);

/// The headers that every answer has, unless its handler sets them.
const DEFAULTS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The methods that metrics name.
static METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];

/// The problem of a request that the server refuses; the middleware answers with it.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Problem);

pub(crate) fn describe() {
    metrics::describe_counter!("http_requests_total", "Requests answered, by method, route and status.");
    metrics::describe_histogram!(
        "http_request_seconds",
        metrics::Unit::Seconds,
        "Time from a request's head to its answer, by method and route."
    );
}

pub(crate) async fn around(State(in_flight): State<InFlight>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::debug_span!(
        target: trace::TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    let traceparent = Traceparent::of(request.headers(), &span);
    request.extensions_mut().insert(traceparent.clone());
    let (act, asked, target) = (Act::default(), request.method().clone(), request.uri().clone());
    request.extensions_mut().insert(act.clone());

    let answer = answer(&in_flight, request, next);
    let answered = tokio::time::timeout(TIMEOUT, answer).instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| late().into_response());

    for (name, value) in DEFAULTS {
        response.headers_mut().entry(name).or_insert(value);
    }
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    act.log(&asked, &target, status);
    let (status, took) = (status.as_u16(), start.elapsed());
    tracing::debug!(method, route, status, ?took, traceparent = traceparent.0, "answered");
    record(method, route, status, took);
    response
}

/// Returns the routes' answer, unless the server has refused the request or its client has too many in flight.
async fn answer(in_flight: &InFlight, mut request: Request, next: Next) -> Response {
    if let Some(Refused(problem)) = request.extensions_mut().remove() {
        return problem.into_response();
    }
    let proxies = request.extensions().get::<TrustedProxies>();
    let by_proxy =
        proxies.zip(request.extensions().get::<Peer>()).is_some_and(|(all, peer)| all.contain(peer.0));
    if !by_proxy {
        // The server bounds the client's connections, and with them its requests in flight.
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let client = ClientAddress::from_request_parts(&mut parts, &()).await;
    let guard = client.and_then(|client| in_flight.enter(client));
    match guard {
        Ok(_guard) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

fn late() -> Problem {
    Problem::unavailable(
        "The request took too long and was cancelled; with an Idempotency-Key it is safe to try again.",
    )
}

fn record(method: &'static str, route: String, status: u16, took: Duration) {
    let status = status.to_string();
    metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("http_request_seconds", "method" => method, "route" => route).record(took);
}

/// Returns the method as a metrics label. Callers may make up methods; the metrics must not grow with them.
fn method_label(method: &Method) -> &'static str {
    METHODS.iter().find(|known| *known == method).map_or("other", Method::as_str)
}
