//! The answers that all services have in common, tested without a network.
#![expect(clippy::unwrap_used, reason = "tests")]

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::idempotency::Answer;
use web::openapi::Conflict;
use web::{About, AdminToken, ClientAddress, Idempotent, Json, Operator, Path, Problem, Traceparent};

#[derive(Clone)]
struct State(AdminToken);

impl FromRef<State> for AdminToken {
    fn from_ref(state: &State) -> Self {
        state.0.clone()
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    count: u8,
}

/// Stores a thing.
#[utoipa::path(put, path = "/things/{id}", request_body = Thing, params(("id" = u32, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Thing), (status = 409, response = Conflict)))]
async fn put_thing(_operator: Operator, Path(_id): Path<u32>, Json(thing): Json<Thing>) -> Json<Thing> {
    Json(thing)
}

/// Makes a thing once.
#[utoipa::path(post, path = "/things", request_body = Thing,
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 202, body = Thing)))]
async fn post_thing(body: Idempotent<Thing>) -> Result<Answer, Problem> {
    let operation = body.key.map(|key| key.operation);
    Answer::json(StatusCode::ACCEPTED, Some("/things/1".to_owned()), &operation)
}

async fn who(client: ClientAddress, trace: Traceparent) -> String {
    format!("{client} {}", trace.0)
}

#[expect(clippy::panic, reason = "a bug of the handler")]
async fn bug() {
    panic!("a bug");
}

async fn slow() {
    std::future::pending::<()>().await;
}

fn api() -> Router {
    let routes = OpenApiRouter::new().routes(routes!(put_thing)).routes(routes!(post_thing));
    let routes = routes.route("/who", get(who)).route("/bug", get(bug)).route("/slow", get(slow));
    let state = State(AdminToken::new([("admin", &"token".into())]));
    let (description, license) = ("Keeps things.", "MIT OR Apache-2.0");
    let about = About { service: "thing", description, version: "1.2.3", license };
    web::api(&about, routes.with_state(state), "10.0.0.0/8".parse().unwrap(), true)
}

async fn ask(request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Value) {
    let response = api().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
    (parts.status, parts.headers, body)
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

#[tokio::test]
async fn errors_outside_of_handlers_are_problems_too() {
    for (method, path, status) in
        [("GET", "/nowhere", 404), ("POST", "/who", 405), ("GET", "/bug", 500), ("DELETE", "/things", 405)]
    {
        let (got, headers, body) = ask(request(method, path).body(Body::empty()).unwrap()).await;
        assert_eq!(got.as_u16(), status, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(body["status"], status);
        assert_eq!(headers.contains_key("allow"), status == 405);
    }
    let (_, headers, _) = ask(request("POST", "/who").body(Body::empty()).unwrap()).await;
    assert_eq!(headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_503_within_three_seconds() {
    let start = tokio::time::Instant::now();
    let (status, headers, _) = ask(request("GET", "/slow").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 503);
    assert!(headers.contains_key("retry-after") && start.elapsed().as_secs() < 3);
}

#[tokio::test]
async fn the_operators_token_is_checked_before_path_and_body() {
    let put = |path: &str, token: &str, kind: &str, body: &'static str| {
        let request = request("PUT", path).header("authorization", token).header("content-type", kind);
        ask(request.body(Body::from(body)).unwrap())
    };
    let json = "application/json";
    let (status, headers, _) = put("/things/x", "Bearer wrong", "text/plain", "").await;
    assert_eq!((status.as_u16(), &headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    for (path, kind, body, expected) in [
        ("/things/x", json, "{}", 404),
        ("/things/%00", json, "{}", 404),
        ("/things/1", "text/plain", "{}", 415),
        ("/things/1", json, "{", 400),
        ("/things/1", json, r#"{"count":256}"#, 422),
        ("/things/1", json, r#"{"count":255}"#, 200),
    ] {
        let (status, _, answer) = put(path, "Bearer token", kind, body).await;
        assert_eq!(status.as_u16(), expected, "{path} {body} {answer}");
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_operation_and_must_be_valid() {
    let post = |key: &'static str| {
        let request = request("POST", "/things").header("idempotency-key", key);
        ask(request.header("content-type", "application/json").body(Body::from(r#"{"count":1}"#)).unwrap())
    };
    let (status, headers, body) = post("k-1").await;
    assert_eq!((status.as_u16(), body), (202, "POST /things".into()));
    assert_eq!(headers["location"], "/things/1");
    assert_eq!(post("a b").await.0, 400);
}

#[tokio::test]
async fn a_callers_trace_is_passed_on() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (_, _, body) =
        ask(request("GET", "/who").header("traceparent", parent).body(Body::empty()).unwrap()).await;
    assert_eq!(body, format!("0.0.0.0 {parent}"));
}

#[tokio::test]
async fn the_description_has_every_error_of_an_operation_once() {
    let (status, _, api) = ask(request("GET", "/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(api["openapi"], "3.1.0");
    assert_eq!((&api["info"]["title"], &api["info"]["version"]), (&"thing service".into(), &"1.2.3".into()));
    let license = serde_json::json!({"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"});
    assert_eq!((&api["info"]["license"], &api["info"]["contact"]), (&license, &Value::Null));
    assert_eq!(api["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let statuses = |pointer: &str| {
        let responses = api.pointer(pointer).and_then(Value::as_object).expect("an operation");
        responses.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        statuses("/paths/~1things~1{id}/put/responses"),
        "200 400 401 404 408 409 413 415 422 429 503"
    );
    assert_eq!(statuses("/paths/~1things/post/responses"), "202 400 408 409 413 415 422 503");
    let reference = &api["paths"]["/things"]["post"]["responses"]["422"]["$ref"];
    let shared = api.pointer(&reference.as_str().unwrap()[1..]).expect("a shared response");
    assert_eq!(
        shared["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    assert!(api["components"]["schemas"]["FieldError"].is_object());
}

#[tokio::test]
async fn the_docs_page_needs_no_internet() {
    for (path, bundle) in [("/docs", "\"./docs/swagger-ui-bundle.js"), ("/docs/", "\"./swagger-ui-bundle.js")]
    {
        let (status, _, page) = ask(request("GET", path).body(Body::empty()).unwrap()).await;
        let page = page.as_str().unwrap();
        assert_eq!(status, 200);
        assert!(page.contains(bundle) && !page.contains("https://"), "{page}");
        assert!(page.contains("<title>thing service</title>"), "{page}");
        // Resolves the files as a browser does.
        let folder = &path[..=path.rfind('/').unwrap()];
        let files = ["href=\"", "src=\""].into_iter().flat_map(|name| page.split(name).skip(1));
        for file in files.filter_map(|rest| rest.split('"').next()) {
            let place = format!("{folder}{}", file.trim_start_matches("./"));
            assert_eq!(ask(request("GET", &place).body(Body::empty()).unwrap()).await.0, 200, "{place}");
        }
    }
    assert_eq!(ask(request("GET", "/docs/swagger-ui-bundle.js").body(Body::empty()).unwrap()).await.0, 200);
    let (status, _, problem) = ask(request("GET", "/docs/nothing.js").body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), &problem["status"]), (404, &404.into()));
}
