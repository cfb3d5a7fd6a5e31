//! Greedy clients: a service stays within a container's memory, and other clients are answered.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use system_tests::Shop;
use testkit::System;

/// The bound of a service's memory in MB; the containers' limit is 96 MB.
const LIMIT: f64 = 80.0;

/// Opens connections, sends as many of these bytes as the service reads, and holds the connections.
fn held(address: SocketAddr, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_write_timeout(Some(Duration::from_millis(20))).ok()?;
        // An error is expected: the service may refuse the bytes or not read them.
        let _ = stream.write_all(bytes);
        Some(stream)
    };
    (0..count).filter_map(connect).collect()
}

#[tokio::test]
async fn half_sent_bodies_and_large_heads_stay_within_a_containers_memory() {
    let shop = Shop::open().await;
    let half = format!(
        "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n{{\"{}",
        "x".repeat(60_000)
    );
    // The honest client has another address: a client with the attacker's address shares the attacker's slots.
    let honest = reqwest::Client::builder().no_proxy().local_address(IpAddr::from([127, 0, 0, 2])).build();
    let honest = honest.unwrap();
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Large: {}", "x".repeat(400_000));
    for (count, bytes) in [(1500, half), (300, large)] {
        let address: SocketAddr = shop.system.url("order").trim_start_matches("http://").parse().unwrap();
        let mut sending = tokio::task::spawn_blocking(move || held(address, count, bytes.as_bytes()));
        let (mut most, mut left) = (0.0_f64, 20);
        while left > 0 {
            most = most.max(shop.memory("order").await);
            let answer = honest.get(shop.at("order", "/orders/none")).send().await.unwrap();
            assert_eq!(answer.status(), 404, "other clients are answered");
            tokio::time::sleep(Duration::from_millis(20)).await;
            left -= usize::from(sending.is_finished());
        }
        assert!(most < LIMIT, "{most} MB with {count}");
        drop((&mut sending).await.unwrap());
    }
    shop.system.quiesce().await.unwrap();
}

#[tokio::test]
async fn a_saturated_port_does_not_affect_the_port_for_health_and_metrics() {
    let shop = Shop::with(System::builder()).await;
    let address: SocketAddr = shop.system.url("order").trim_start_matches("http://").parse().unwrap();
    let bundle = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n";
    let readers = tokio::task::spawn_blocking(move || held(address, 1500, bundle)).await.unwrap();
    let (status, body) = shop.health("order", 1, "ready").await.unwrap();
    assert_eq!(status, 200, "connections that do not read lose their slots");
    let port = &body["checks"]["http"];
    assert!(port["detail"]["connections"].as_u64() <= port["detail"]["slots"].as_u64(), "{body}");
    assert_eq!(shop.http().get(shop.at("order", "/orders/none")).send().await.unwrap().status(), 404);
    drop(readers);
    shop.system.quiesce().await.unwrap();
}
