//! Requests that need memory: incomplete and endless bodies, and headers that are too large.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::target::Target;

/// The bound of a service's memory, in MB; the containers' limit is 96 MB.
const LIMIT: f64 = 80.0;

pub(crate) async fn half_bodies_400(target: &Target) -> Outcome {
    half_bodies(target, "notification", "/subscriptions", 400).await
}

pub(crate) async fn half_bodies_1500(target: &Target) -> Outcome {
    half_bodies(target, "order", "/orders", 1500).await
}

async fn half_bodies(target: &Target, service: &str, path: &str, count: usize) -> Outcome {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n"
    );
    let body = format!("{head}{{\"email\":\"{}", "x".repeat(60_000));
    flood(target, service, count, body.as_bytes()).await
}

pub(crate) async fn large_heads(target: &Target) -> Outcome {
    let head = format!("GET /payments/x HTTP/1.1\r\nHost: shop\r\nX-Large: {}", "x".repeat(400_000));
    flood(target, "payment", 300, head.as_bytes()).await
}

/// The number of clients that send bodies without end.
const ENDLESS: usize = 20;
/// The time after which no such connection may be open. A service reads and drops what still arrives for a moment, so that the
/// client sees its answer.
const ENDED: Duration = Duration::from_secs(5);
/// The number of times that these clients come, one after the other.
const TIMES: usize = 20;
/// The pause between two pieces of a body: 20 clients send up to 250 MB per second.
const PIECE: Duration = Duration::from_millis(5);

pub(crate) async fn endless_bodies(target: &Target) -> Outcome {
    let before = target.shop.memory("order").await;
    let head = "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n";
    let declared = format!("{head}Content-Length: 1073741824\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let (mut slowest, mut ended) = (Duration::ZERO, 0);
    for _ in 0..TIMES {
        let clients = (0..ENDLESS).map(|number| {
            let (head, piece) = if number % 2 == 0 {
                (&declared, "x".repeat(65_536))
            } else {
                (&chunked, format!("10000\r\n{}\r\n", "x".repeat(65_536)))
            };
            timeout(2 * ENDED, until_ended(target, head, piece))
        });
        let started = Instant::now();
        let ends = futures::future::join_all(clients).await;
        ended += ends.iter().filter(|end| matches!(end, Ok(true))).count();
        slowest = slowest.max(started.elapsed());
    }
    let after = target.shop.memory("order").await;
    let all =
        if ended == TIMES * ENDLESS { "all".to_owned() } else { format!("{ended} of {}", TIMES * ENDLESS) };
    let found =
        format!("{before:.0} MB before, {after:.0} after; {all} ended after {:.1} s", slowest.as_secs_f64());
    Outcome { found, held: after < LIMIT && slowest < ENDED && ended == TIMES * ENDLESS }
}

/// Sends `head` and then `piece` again and again until the service ends the connection. Returns whether there was a connection.
async fn until_ended(target: &Target, head: &str, piece: String) -> bool {
    let Ok(mut stream) = target.send("order", head.as_bytes()).await else { return false };
    while stream.write_all(piece.as_bytes()).await.is_ok() {
        sleep(PIECE).await;
    }
    true
}

/// The number of connections that are opened at once, before a [`PAUSE`]: 2,500 connections per second. The attacker
/// shares the machine with its victim and should use up its memory, not its CPU.
const AT_ONCE: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Sends `bytes` on `count` connections that stay open, three times, and measures the service's memory.
async fn flood(target: &Target, service: &str, count: usize, bytes: &[u8]) -> Outcome {
    let before = target.shop.memory(service).await;
    let mut most = before;
    for _ in 0..3 {
        let mut held = Vec::new();
        while held.len() < count {
            let some = (0..AT_ONCE.min(count - held.len())).map(|_| target.send(service, bytes));
            held.extend(futures::future::join_all(some).await);
            most = most.max(target.shop.memory(service).await);
            sleep(PAUSE).await;
        }
        for _ in 0..10 {
            most = most.max(target.shop.memory(service).await);
            sleep(Duration::from_millis(100)).await;
        }
        drop(held);
    }
    sleep(Duration::from_secs(3)).await;
    let after = target.shop.memory(service).await;
    let found = format!("{before:.0} MB before, at most {most:.0} during, {after:.0} after");
    Outcome { found, held: most < LIMIT }
}
