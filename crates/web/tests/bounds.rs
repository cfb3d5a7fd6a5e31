//! Slow, greedy and many clients over real connections: other clients are answered meanwhile.
#![expect(clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use support::{GET, Running, answer, is_closed, until_closed};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use web::{Bounds, Json};

/// More bytes than the kernel buffers for a client that does not read.
static BIG: [u8; 8 << 20] = [b'x'; 8 << 20];

fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/big", get(|| async { &BIG[..] }))
        .route("/slow", get(async || sleep(Duration::from_secs(2)).await))
        .route("/", post(|Json(_): Json<String>| async { "read" }))
}

fn few() -> Bounds {
    Bounds { connections: 32, per_client: 32, ..Bounds::api() }
}

async fn start(bounds: Bounds) -> Running {
    support::start(routes(), bounds, "").await
}

/// Opens `count` connections, each of which sends `text` and nothing more.
async fn many(server: &Running, count: usize, text: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(server.send(text).await);
    }
    streams
}

async fn is_answered_at_once(server: &Running) {
    let answered = timeout(Duration::from_secs(1), server.ask(GET)).await.expect("an answer within a second");
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
}

#[tokio::test]
async fn connections_that_do_not_read_or_send_lock_nobody_out() {
    let half =
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n\"";
    for text in ["GET /big HTTP/1.1\r\nHost: x\r\n\r\n", "", GET, "GET / HTTP/1.1\r\nHo", half] {
        let server = start(few()).await;
        let held = many(&server, 100, text).await;
        for _ in 0..5 {
            is_answered_at_once(&server).await;
        }
        assert!(server.occupancy().open <= 32, "{:?}", server.occupancy());
        drop(held);
        server.close().await;
    }
}

#[tokio::test]
async fn a_client_over_its_limit_loses_only_its_own_connections() {
    let server = start(Bounds { per_client: 8, ..few() }).await;
    let mut other = server.send_from("127.0.0.2", GET).await;
    assert!(answer(&mut other).await.ends_with("hello"));
    let mut greedy = many(&server, 30, "").await;
    is_answered_at_once(&server).await;
    server.is("the client is at its limit", |occupancy| occupancy.open <= 9).await;
    assert!(!is_closed(&mut other).await, "another client's connection stays open");
    assert!(is_closed(&mut greedy[0]).await, "its own oldest connection made room");
}

#[tokio::test]
async fn stuck_connections_are_closed_before_one_that_was_answered() {
    let server = start(Bounds { per_client: 8, ..few() }).await;
    let half = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n\"";
    let mut used = server.send(GET).await;
    assert!(answer(&mut used).await.ends_with("hello"));
    for text in ["", "GET / HTTP/1.1\r\nHo", half, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let held = many(&server, 30, text).await;
        assert!(!is_closed(&mut used).await, "{text}");
        drop(held);
    }
    used.write_all(GET.as_bytes()).await.unwrap();
    assert!(answer(&mut used).await.ends_with("hello"));
}

#[tokio::test]
async fn a_client_at_its_limit_whose_connections_are_all_busy_is_refused() {
    let server = start(Bounds { per_client: 4, ..few() }).await;
    let busy = many(&server, 4, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(until_closed(server.send("").await).await, "");
    let mut other = server.send_from("127.0.0.2", GET).await;
    assert!(answer(&mut other).await.ends_with("hello"));
    for stream in busy {
        assert!(answer(&mut { stream }).await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_proxy_carries_many_clients_and_each_of_them_has_a_limit() {
    let server =
        support::start(routes(), Bounds { per_client: 4, connections: 128, ..few() }, "127.0.0.1").await;
    let of = |client: &str| format!("GET /slow HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\n\r\n");
    let greedy = many(&server, 80, &of("192.0.2.1")).await;
    let other = server.send(&GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.2:4711\r\n\r\n")).await;
    assert!(answer(&mut { other }).await.ends_with("hello"));
    let mut statuses = Vec::new();
    for mut stream in greedy {
        statuses.push(answer(&mut stream).await.get(9..12).unwrap().to_owned());
    }
    let count = |status: &str| statuses.iter().filter(|found| *found == status).count();
    assert_eq!((count("200"), count("429")), (64, 16));
}

#[tokio::test]
async fn unread_answers_end_the_connection() {
    let server = start(Bounds { unread: Duration::from_millis(300), ..few() }).await;
    let pipelined = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50_000);
    for text in ["GET /big HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), pipelined] {
        let address = server.address;
        let held = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(text.as_bytes()).await;
            sleep(Duration::from_secs(5)).await;
            drop(stream);
        });
        server.is("the connection is open", |occupancy| occupancy.open == 1).await;
        let since = Instant::now();
        server.is("the slot is free", |occupancy| occupancy.open == 0).await;
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        held.abort();
    }
}

#[tokio::test]
async fn heads_and_idle_connections_have_deadlines() {
    let short = Duration::from_millis(300);
    let server = start(Bounds { head: short, ..few() }).await;
    let (mut idle, half) = (server.send(GET).await, server.send("GET / HTTP/1.1\r\nX: ").await);
    assert!(answer(&mut idle).await.ends_with("hello"));
    until_closed(half).await;
    assert!(!is_closed(&mut idle).await, "no head has begun");
    let server = start(Bounds { idle: short, ..few() }).await;
    let mut idle = server.send(GET).await;
    assert!(answer(&mut idle).await.ends_with("hello"));
    assert_eq!(until_closed(idle).await, "");
}

#[tokio::test]
async fn an_old_connection_is_closed_after_its_last_answer() {
    let server = start(Bounds { age: Duration::from_millis(300), ..few() }).await;
    let mut client = server.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let last = answer(&mut client).await.to_lowercase();
    assert!(last.starts_with("http/1.1 200 ") && last.contains("connection: close"), "{last}");
    assert_eq!(until_closed(client).await, "");
    let idle = server.send("").await;
    assert_eq!(until_closed(idle).await, "");
}

#[tokio::test]
async fn a_port_whose_slots_are_all_busy_is_saturated() {
    let server = start(Bounds { connections: 4, ..few() }).await;
    let busy = many(&server, 6, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.is("the port is saturated", |occupancy| occupancy.is_saturated && occupancy.open == 4).await;
    for stream in busy {
        assert!(
            answer(&mut { stream }).await.starts_with("HTTP/1.1 200 "),
            "a connection that waits is answered later"
        );
    }
    server.is("the port is no longer saturated", |occupancy| !occupancy.is_saturated).await;
}
