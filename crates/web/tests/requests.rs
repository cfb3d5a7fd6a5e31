//! Malformed and unusual requests over real connections.

mod support;

use axum::Router;
use axum::extract::FromRef;
use axum::http::Uri;
use axum::routing::{get, post};
use support::{GET, Running, answer, until_closed};
use tokio::io::AsyncWriteExt;
use web::{AdminToken, Bounds, Json, Operator};

#[derive(Clone)]
struct State(AdminToken);

impl FromRef<State> for AdminToken {
    fn from_ref(state: &State) -> Self {
        state.0.clone()
    }
}

async fn start() -> Running {
    let routes = Router::new()
        .route("/", get(|uri: Uri| async move { uri.to_string() }))
        .route("/", post(|Json(_): Json<String>| async { "read" }))
        .route("/operator", post(|_: Operator, Json(_): Json<String>| async { "done" }))
        .with_state(State(AdminToken::new([("admin", &"token".into())])));
    support::start(routes, Bounds::api(), "").await
}

fn closes(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn an_ambiguous_request_is_400_and_ends_the_connection() {
    let server = start().await;
    for request in [
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\nX-C: d\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@x\r\n\r\n",
        "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
    ] {
        let answer = until_closed(server.send(request).await).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
            "{request}: {answer}"
        );
        assert!(answer.contains("application/problem+json") && closes(&answer), "{request}: {answer}");
    }
}

#[tokio::test]
async fn later_requests_of_a_connection_are_checked_too() {
    let server = start().await;
    let post =
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n\"a\\nb\"";
    let both = until_closed(server.send(&format!("{post}{GET}GET / HTTP/1.1\nHost: x\r\n\r\n")).await).await;
    let statuses: Vec<&str> = both.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{both}");
}

#[tokio::test]
async fn unusual_but_valid_requests_are_answered() {
    let server = start().await;
    for (request, status, body) in [
        ("GET http://shop.example/?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/?a=b"),
        ("GET http://shop.example HTTP/1.1\r\nHost: shop.example\r\n\r\n", 200, "/"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, "/"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200, "/"),
        ("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, ""),
    ] {
        let answer = server.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(body), "{answer}");
        assert!(!closes(&answer), "{answer}");
    }
    // HTTP/1.0 requires no Host and keeps a connection only on request.
    let old = until_closed(server.send("GET / HTTP/1.0\r\n\r\n").await).await;
    assert!(old.starts_with("HTTP/1.0 200 ") && old.ends_with("\r\n\r\n/"), "{old}");
    let kept = server.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert!(kept.to_lowercase().contains("connection: keep-alive"), "{kept}");
}

#[tokio::test]
async fn an_answer_before_the_body_closes_the_connection() {
    let server = start().await;
    let json = "Content-Type: application/json\r\n";
    for (path, headers, length, status) in [
        ("/operator", json, 60_000, 401),
        ("/operator", "Authorization: Bearer wrong\r\n", 10, 401),
        ("/", "Content-Type: text/plain\r\n", 60_000, 415),
        ("/", json, 2_000_000, 413),
        ("/nothing", json, 60_000, 404),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n\"");
        let mut stream = server.send(&head).await;
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && closes(&answer), "{path}: {answer}");
        assert_eq!(until_closed(stream).await, "", "{path}");
    }
    let whole = "POST /operator HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\n\
                 Content-Type: application/json\r\nContent-Length: 3\r\n\r\n\"a\"";
    assert!(!closes(&server.ask(whole).await));
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\n\"a\"\r\n0\r\n\r\n";
    let answer = server.ask(chunked).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && closes(&answer), "{answer}");
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_answer() {
    let server = start().await;
    let mut stream = server.send("POST /operator HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n").await;
    for _ in 0..60 {
        // Many clients send the whole body before they read the answer.
        let _ = stream.write_all(&[b'x'; 1000]).await;
        tokio::task::yield_now().await;
    }
    let answer = until_closed(stream).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let server = start().await;
    for (size, status) in [(30_000, 200), (33_000, 431), (400_000, 431)] {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(size));
        let answer = server.ask(&head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{size}: {answer}");
    }
}
