//! The phases of the benchmark. Each measures the system and its yardstick one right after the other.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::Servers;
use uuid::Uuid;

use crate::figure::{Measured, median};
use crate::pgbench::{self, Floor};
use crate::report::Results;
use crate::{Lengths, hop, sustain};
use bench::cpu::{self, Meter};
use bench::latency::{Latencies, Percentiles};
use bench::load::{self, Answer, Outcome, Rate};
use bench::shop::Shop;

const CLIENTS: usize = 64;
const DRAIN: Duration = Duration::from_mins(4);
const QUIET: Duration = Duration::from_mins(1);
/// The services that consume events of orders.
const CONSUMERS: [&str; 3] = ["payment", "inventory", "notification"];
/// The times that an order waits for a commit and for Kafka, from `POST /orders` to its notification: order, payment, order,
/// notification, and the delivery's result; `orders`, `payments` or `reservations`, `orders`.
const COMMITS: f64 = 5.0;
const HOPS: f64 = 3.0;

/// Closed load and pgbench in turns, A B B A.
pub(crate) async fn accepted(
    shop: &Shop,
    servers: &Servers,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    let (mut ratios, mut orders, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..lengths.rounds {
        let (floor, outcome) = if round % 2 == 0 {
            let floor = pgbench::run(servers, CLIENTS, lengths.floor, None).await?;
            (floor, closed(shop, lengths.closed, results).await?)
        } else {
            let outcome = closed(shop, lengths.closed, results).await?;
            (pgbench::run(servers, CLIENTS, lengths.floor, None).await?, outcome)
        };
        ratios.push(outcome.per_second() / floor.per_second);
        orders.push(outcome.per_second());
        floors.push(floor.per_second);
    }
    results.figure(Measured {
        name: "accepted",
        ratio: median(ratios),
        values: format!("{:.0} / {:.0} per second", median(orders), median(floors)),
    });
    Ok(())
}

async fn closed(shop: &Shop, length: Duration, results: &mut Results) -> anyhow::Result<Outcome> {
    results.others(cpu::quiet(shop.pids(), QUIET).await?);
    let outcome = load::run(&shop.address(), Rate::Closed, length).await;
    let latency = until_answered(&outcome)?;
    results.raw("accepted", load(&outcome, &latency));
    shop.notifications(&outcome.accepted, DRAIN).await?;
    Ok(outcome)
}

/// The highest sustained rate, and the CPU per order at that rate. Returns the rate.
pub(crate) async fn sustained(
    shop: &Shop,
    servers: &Servers,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<f64> {
    let before = pgbench::run(servers, CLIENTS, lengths.floor, None).await?;
    results.others(cpu::quiet(shop.pids(), QUIET).await?);
    let found = sustain::find(shop, lengths.first_rate, lengths.step, lengths.confirm).await?;
    let run = found.context("no rate is sustained")?;
    let after = pgbench::run(servers, CLIENTS, lengths.floor, None).await?;
    let floor = Floor {
        per_second: f64::midpoint(before.per_second, after.per_second),
        latency: f64::midpoint(before.latency, after.latency),
        cpu: f64::midpoint(before.cpu, after.cpu),
    };
    results.figure(Measured {
        name: "sustained",
        ratio: run.rate / floor.per_second,
        values: format!("{:.0} / {:.0} per second", run.rate, floor.per_second),
    });
    let cpu = cpu_per_order(shop, run.rate, lengths.step, results).await?;
    results.figure(Measured {
        name: "cpu_per_order",
        ratio: cpu / floor.cpu,
        values: format!("{:.2} / {:.3} ms", cpu * 1e3, floor.cpu * 1e3),
    });
    results.raw("floor", serde_json::to_value(floor)?);
    let (memory, process) = cpu::peak_memory(&shop.service_pids());
    results.note(format!("A service has used at most {memory} MB of memory by then ({process})."));
    Ok(run.rate)
}

/// CPU seconds of the whole system per order at this rate, from the first request to the last notification.
pub(crate) async fn cpu_per_order(
    shop: &Shop,
    rate: f64,
    length: Duration,
    results: &mut Results,
) -> anyhow::Result<f64> {
    let meter = Meter::start(shop.pids())?;
    let outcome = load::run(&shop.address(), Rate::Open(rate), length).await;
    shop.notifications(&outcome.accepted, DRAIN).await?;
    let used = meter.used()?;
    results.others(used.others_share);
    results.raw("cpu", serde_json::to_value(&used)?);
    Ok(used.total() / outcome.accepted.len() as f64)
}

/// Loads the shop at this rate, and prints the CPU per order and the latency until the notification.
pub(crate) async fn steady(shop: &Shop, rate: f64, length: Duration) -> anyhow::Result<()> {
    let meter = Meter::start(shop.pids())?;
    let outcome = load::run(&shop.address(), Rate::Open(rate), length).await;
    let notified = shop.notifications(&outcome.accepted, DRAIN).await?;
    let used = meter.used()?;
    let orders = outcome.accepted.len() as f64;
    let latency = until_notified(&outcome, &notified)?;
    let answers = until_answered(&outcome)?;
    println!(
        "{rate:.0} per second: {:.2} ms of CPU per order, p50 {:.1} ms, p99 {:.1} ms until the notification; p50 {:.1} ms until the answer",
        used.total() * 1e3 / orders,
        latency.p50,
        latency.p99,
        answers.p50
    );
    for (process, seconds) in &used.by_process {
        println!("  {process}: {:.2} ms per order", seconds * 1e3 / orders);
    }
    Ok(())
}

/// The latency from order to notification at half the sustained rate, against commits and hops alone at that rate.
pub(crate) async fn latency(
    shop: &Shop,
    servers: &Servers,
    sustained: f64,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    let rate = sustained / 2.0;
    results.others(cpu::quiet(shop.pids(), QUIET).await?);
    let outcome = load::run(&shop.address(), Rate::Open(rate), lengths.half).await;
    let notified = shop.notifications(&outcome.accepted, DRAIN).await?;
    let latency = until_notified(&outcome, &notified)?;
    let commit = pgbench::run(servers, 16, lengths.floor, Some(rate)).await?.latency;
    let hop = hop::latencies(servers.brokers(), rate, lengths.floor).await?.percentiles();
    let floor = COMMITS * commit + HOPS * hop.p50;
    results.figure(Measured {
        name: "latency_p50",
        ratio: latency.p50 / floor,
        values: format!(
            "{:.1} / {floor:.1} ms ({commit:.2} a commit, {:.2} a hop) at {rate:.0} per second",
            latency.p50, hop.p50
        ),
    });
    results.figure(Measured {
        name: "latency_p99_over_p50",
        ratio: latency.p99 / latency.p50,
        values: format!("{:.1} / {:.1} ms", latency.p99, latency.p50),
    });
    results.raw("half", load(&outcome, &latency));
    Ok(())
}

/// The rate at which a backlog is processed after an outage of all consumers.
pub(crate) async fn drain(
    shop: &Shop,
    sustained: f64,
    lengths: &Lengths,
    results: &mut Results,
) -> anyhow::Result<()> {
    let rate = sustained / 2.0;
    for service in CONSUMERS {
        shop.system.service(service).stop(Duration::from_secs(15)).await;
    }
    let outcome = load::run(&shop.address(), Rate::Open(rate), lengths.outage).await;
    results.others(cpu::quiet(shop.pids(), QUIET).await?);
    let started = Instant::now();
    futures::future::try_join_all(CONSUMERS.map(|service| shop.system.service(service).start())).await?;
    results.note(format!(
        "Three services that start at once are ready after {:.0} ms.",
        started.elapsed().as_secs_f64() * 1e3
    ));
    shop.notifications(&outcome.accepted, DRAIN).await?;
    let drained = outcome.accepted.len() as f64 / started.elapsed().as_secs_f64();
    results.figure(Measured {
        name: "drain",
        ratio: drained / rate,
        values: format!("{drained:.0} / {rate:.0} per second"),
    });
    Ok(())
}

/// The latencies from the time at which an order was due until its answer.
fn until_answered(outcome: &Outcome) -> anyhow::Result<Percentiles> {
    Ok(Latencies::of(outcome.accepted.iter().map(|order| order.latency))?.percentiles())
}

/// The latencies from the time at which an order was due until its notification.
fn until_notified(outcome: &Outcome, notified: &HashMap<Uuid, SystemTime>) -> anyhow::Result<Percentiles> {
    let until = |order: &Answer| notified.get(&order.accepted?)?.duration_since(order.due).ok();
    Ok(Latencies::of(outcome.accepted.iter().filter_map(until))?.percentiles())
}

fn load(outcome: &Outcome, latency: &Percentiles) -> Value {
    json!({
        "accepted": outcome.accepted.len(),
        "refused": outcome.refused,
        "per_second": outcome.per_second(),
        "latency_ms": latency,
    })
}
