//! Connections of slow or idle clients, which occupy the slots of a port.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::target::Target;

const BUNDLE: &[u8] = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: shop\r\n\r\n";
/// The time for which the connections are held once all are open.
const HELD: Duration = Duration::from_secs(10);
/// The number of connections that are opened at once, before a [`PAUSE`]: some 500 connections per second. The attacker
/// shares the machine with its victim and should use up its slots, not its CPU.
const AT_ONCE: usize = 50;
const PAUSE: Duration = Duration::from_millis(80);

pub(crate) async fn slow_readers(target: &Target) -> Outcome {
    hold(target, 4200, BUNDLE).await
}

pub(crate) async fn idle(target: &Target) -> Outcome {
    hold(target, 10_000, b"").await
}

/// The number of clients that send their heads slowly, and the time between two bytes.
const SLOW_HEADS: usize = 500;
const SLOWLY: Duration = Duration::from_secs(1);

pub(crate) async fn slow_heads(target: &Target) -> Outcome {
    let head = b"GET /orders/01920000-0000-7000-8000-000000000001 HTTP/1.1\r\nHost: shop\r\n\r\n";
    let one = async || {
        let mut stream = target.send("order", b"").await.ok()?;
        for byte in head {
            sleep(SLOWLY).await;
            if stream.write_all(&[*byte]).await.is_err() {
                return Some(false);
            }
        }
        Some(true)
    };
    let connected = futures::future::join_all((0..SLOW_HEADS).map(|_| one())).await.into_iter().flatten();
    let finished: Vec<bool> = connected.collect();
    let whole = finished.iter().filter(|is_whole| **is_whole).count();
    let found = format!("{whole} of {} sent a whole head in {} s", finished.len(), head.len());
    Outcome { found, held: whole == 0 && finished.len() == SLOW_HEADS }
}

/// Opens `count` connections, sends `bytes` on each, reads nothing, and holds them.
async fn hold(target: &Target, count: usize, bytes: &[u8]) -> Outcome {
    let mut held: Vec<TcpStream> = Vec::new();
    let mut fullest = 0.0_f64;
    while held.len() < count {
        let some = (0..AT_ONCE.min(count - held.len())).map(|_| target.send("order", bytes));
        held.extend(futures::future::join_all(some).await.into_iter().flatten());
        fullest = fullest.max(open(target).await);
        sleep(PAUSE).await;
    }
    sleep(HELD).await;
    let is_ready = target.shop.health("order", 1, "ready").await.is_some_and(|(status, _)| status == 200);
    let found = format!("at most {fullest:.0} open at once; ready: {is_ready}");
    Outcome { found, held: is_ready }
}

async fn open(target: &Target) -> f64 {
    target.shop.metric("order", "http_connections{port=\"api\"} ").await.unwrap_or_default()
}

pub(crate) async fn pipelines(target: &Target) -> Outcome {
    let requests = "GET /nothing HTTP/1.1\r\nHost: shop\r\n\r\n".repeat(20_000);
    let started = Instant::now();
    let held = (0..20).map(|_| target.send("order", requests.as_bytes()));
    let mut held: Vec<TcpStream> = futures::future::join_all(held).await.into_iter().flatten().collect();
    let longest = Duration::from_secs(40);
    while started.elapsed() < longest && open(target).await > 2.0 {
        sleep(Duration::from_millis(250)).await;
    }
    let took = started.elapsed();
    for stream in &mut held {
        // Reads the bytes that the service sent before it closed the connection.
        let _ = timeout(Duration::from_millis(10), stream.read(&mut [0; 1024])).await;
    }
    let found = format!("all connections ended after {:.0} s", took.as_secs_f64());
    Outcome { found, held: took < Duration::from_secs(30) }
}
