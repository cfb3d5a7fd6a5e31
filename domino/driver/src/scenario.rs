//! A run: the same load and the same faults on one system.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bench::cpu::Meter;
use bench::latency::Percentiles;
use bench::load::{self, Rate};
use serde::Serialize;
use sqlx::PgConnection;
use testkit::Servers;

use crate::Lengths;
use crate::side::{FAULTS, Fault, Final, Kind, Side};
use crate::timeline::{Answers, Second, second, summary};

/// The time within which all orders must be final after a fault is healed.
const RECOVERY: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);

/// The result of one fault.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scenario {
    pub(crate) fault: Fault,
    /// Seconds since the beginning of the run.
    pub(crate) from: f64,
    pub(crate) until: f64,
    /// The requests that were due during the fault.
    pub(crate) requests: usize,
    pub(crate) accepted: usize,
    pub(crate) latency: Percentiles,
    /// Seconds from the end of the load after this fault until every order was final.
    pub(crate) final_after: f64,
    /// The orders after that.
    pub(crate) orders: Final,
    /// Accepted orders that are not among the confirmed ones.
    pub(crate) lost: i64,
}

/// The result of a run on one system.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    /// Orders per second.
    pub(crate) rate: f64,
    /// CPU milliseconds per accepted order in the healthy scenario, servers included.
    pub(crate) cpu_per_order: Option<f64>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) scenarios: Vec<Scenario>,
    /// The largest share of the CPU that other processes used.
    pub(crate) others_share: f64,
}

/// Runs all faults at `rate` orders per second.
pub(crate) async fn run(
    side: &mut Side,
    kind: Kind,
    rate: f64,
    servers: &Servers,
    lengths: &Lengths,
) -> anyhow::Result<Run> {
    let (answers, start) = (Answers::default(), SystemTime::now());
    let (mut scenarios, mut seconds, mut others_share, mut cpu_per_order) =
        (Vec::new(), Vec::new(), 0.0_f64, None);
    let mut accepted_before = 0_i64;
    let already = side.finals().await?;
    for fault in FAULTS {
        println!("\n{}: {} at {rate:.0} orders per second", kind.title(), fault.title());
        let meter = Meter::start(side.pids(servers))?;
        let from = SystemTime::now();
        let (healed, loaded) = faulty_load(side, fault, rate, &answers, start, &mut seconds, lengths).await?;
        let used = meter.used()?;
        others_share = others_share.max(used.others_share);
        let (orders, final_after) = until_final(side, loaded).await?;
        let within = answers.within(from, healed);
        let (accepted, latency) = summary(&within)?;
        let all = answers.within(start, SystemTime::now());
        let accepted_all = i64::try_from(all.iter().filter(|answer| answer.accepted.is_some()).count())?;
        if fault == Fault::None {
            cpu_per_order = Some(1e3 * used.total() / (accepted_all - accepted_before).max(1) as f64);
        }
        accepted_before = accepted_all;
        scenarios.push(Scenario {
            fault,
            from: seconds_since(start, from),
            until: seconds_since(start, healed),
            requests: within.len(),
            accepted,
            latency,
            final_after,
            lost: accepted_all - (orders.confirmed - already.confirmed),
            orders,
        });
    }
    Ok(Run { kind, rate, cpu_per_order, seconds, scenarios, others_share })
}

/// Loads the system during a fault and a while after. Returns the times at which the fault was healed and the load ended.
async fn faulty_load(
    side: &mut Side,
    fault: Fault,
    rate: f64,
    answers: &Answers,
    start: SystemTime,
    seconds: &mut Vec<Second>,
    lengths: &Lengths,
) -> anyhow::Result<(SystemTime, Instant)> {
    let (address, observer, length) = (side.address(), answers.observer(), lengths.fault + lengths.after);
    let mut orders = side.orders().await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let load = tokio::spawn(async move {
        load::run(&address, Rate::Open(rate), length, &observer).await;
        over.store(true, Ordering::Release);
    });
    let faulting = async {
        side.fault(fault, lengths.fault).await?;
        anyhow::Ok(SystemTime::now())
    };
    tokio::pin!(faulting);
    let (mut ticks, mut at, mut healed) =
        (tokio::time::interval(Duration::from_secs(1)), seconds.len() as u64, None);
    while !is_over.load(Ordering::Acquire) {
        tokio::select! {
            result = &mut faulting, if healed.is_none() => healed = Some(result?),
            _ = ticks.tick() => {
                let waiting = waiting(&mut orders).await?;
                let elapsed = start.elapsed().map_or(0, |elapsed| elapsed.as_secs());
                while at + 1 < elapsed {
                    let second = second(answers, start, at, waiting)?;
                    show(&second);
                    seconds.push(second);
                    at += 1;
                }
            }
        }
    }
    load.await?;
    Ok((healed.unwrap_or_else(SystemTime::now), Instant::now()))
}

/// The number of orders that are not decided.
async fn waiting(orders: &mut PgConnection) -> anyhow::Result<i64> {
    let count = "SELECT count(*) FROM orders WHERE status = 'placed'";
    Ok(sqlx::query_scalar(count).fetch_one(orders).await?)
}

/// Waits until every order is final. Returns the orders, and the seconds since `loaded`.
pub(crate) async fn until_final(side: &Side, loaded: Instant) -> anyhow::Result<(Final, f64)> {
    loop {
        let orders = side.finals().await?;
        if orders.open == 0 && orders.charged == orders.confirmed || loaded.elapsed() > RECOVERY {
            return Ok((orders, loaded.elapsed().as_secs_f64()));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Shows a second on the terminal; elsewhere as a line.
fn show(second: &Second) {
    let line = format!(
        "{:>4} s  {:>6} accepted  {:>6} errors  p99 {:>8.1} ms  {:>6} waiting",
        second.at, second.accepted, second.errors, second.p99, second.waiting
    );
    if std::io::stdout().is_terminal() {
        print!("\r{line}");
        let _ = std::io::stdout().flush();
    } else {
        println!("{line}");
    }
}

fn seconds_since(start: SystemTime, time: SystemTime) -> f64 {
    time.duration_since(start).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
