//! The server over real connections: its answers, and its shutdown.

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use support::{GET, Running, until_closed};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;
use web::{Bounds, Json};

async fn start() -> Running {
    let routes = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(async || sleep(Duration::from_millis(500)).await))
        .route("/", post(|Json(_): Json<String>| async { "read" }));
    support::start(routes, Bounds::api(), "").await
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_finishes_requests() {
    let server = start().await;
    let silent = server.send("").await;
    let mut idle = server.send(GET).await;
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let busy = server.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    let took = server.close().await;
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert_eq!(until_closed(silent).await, "");
    assert!(until_closed(idle).await.ends_with("hello"));
    assert!(until_closed(busy).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_incomplete_head_does_not_block_the_shutdown() {
    let server = start().await;
    let half = server.send("GET / HTTP/1.1\r\nHost:").await;
    sleep(Duration::from_millis(100)).await;
    assert!(server.close().await < Duration::from_secs(6));
    until_closed(half).await;
}

#[tokio::test]
async fn a_client_whose_body_is_too_large_gets_the_answer() {
    let server = start().await;
    for (length, status) in [(70_000, 413), (900_000, 413), (65_536, 200)] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let body = format!("\"{}\"", "a".repeat(length - 2));
        let answer = until_closed(server.send(&(head + &body)).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");
    }
    server.close().await;
}

#[tokio::test]
async fn the_error_of_a_port_in_use_names_the_setting() {
    let server = start().await;
    let error = web::bind(server.address, "OPS_LISTEN").await.unwrap_err().to_string();
    assert!(error.contains(&server.address.to_string()) && error.contains("set OPS_LISTEN"), "{error}");
}
