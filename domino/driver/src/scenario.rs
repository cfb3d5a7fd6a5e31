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
use crate::timeline::{Answers, Second, recovered_after, second, summary};

/// The time within which all orders must be final after the load ended.
pub(crate) const RECOVERY: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);

/// The result of one fault.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scenario {
    pub(crate) fault: Fault,
    /// The load, second by second.
    pub(crate) seconds: Vec<Second>,
    /// When the fault was healed, in seconds since the load began; it begins with the load.
    pub(crate) healed: f64,
    /// The requests that were due during the fault.
    pub(crate) requests: usize,
    pub(crate) accepted: usize,
    pub(crate) latency: Percentiles,
    /// Seconds from the healing until answers were as before the fault; `None`: not while the load lasted.
    pub(crate) recovered_after: Option<f64>,
    /// Seconds from the end of the load until every order was final; `None`: not within [`RECOVERY`].
    pub(crate) final_after: Option<f64>,
    /// The orders of this scenario by their state at its end.
    pub(crate) orders: Final,
    /// Accepted orders since the run began that are not among the confirmed ones.
    pub(crate) lost: i64,
}

/// The result of a run on one system.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    /// Orders per second.
    pub(crate) rate: f64,
    /// The orders per second that the system brought to their final state in a closed-loop load before the run.
    pub(crate) sustained: f64,
    /// CPU milliseconds per accepted order in the healthy scenario, servers included.
    pub(crate) cpu_per_order: Option<f64>,
    pub(crate) scenarios: Vec<Scenario>,
    /// The largest share of the CPU that other processes used.
    pub(crate) others_share: f64,
}

impl Run {
    /// The latency when nothing is broken.
    pub(crate) fn healthy(&self) -> Option<Percentiles> {
        self.scenarios.first().map(|healthy| healthy.latency)
    }
}

/// Runs all faults at `rate` orders per second, on a system that sustains `sustained`.
pub(crate) async fn run(
    side: &mut Side,
    kind: Kind,
    (rate, sustained): (f64, f64),
    servers: &Servers,
    lengths: &Lengths,
) -> anyhow::Result<Run> {
    // The first figures are not those of cold caches.
    load::run(&side.address(), Rate::Open(rate), lengths.after).await;
    until_final(side, Instant::now()).await?;
    let mut run =
        Run { kind, rate, sustained, cpu_per_order: None, scenarios: Vec::new(), others_share: 0.0 };
    let first = side.finals().await?;
    let (mut before, mut accepted_before) = (first, 0);
    for fault in FAULTS {
        println!("\n{}: {} at {rate:.0} orders per second", kind.title(), fault.title());
        let (answers, meter, start) =
            (Answers::default(), Meter::start(side.pids(servers))?, SystemTime::now());
        let (seconds, healed) = faulty_load(side, fault, rate, &answers, start, lengths).await?;
        let (used, loaded) = (meter.used()?, Instant::now());
        run.others_share = run.others_share.max(used.others_share);
        let (orders, final_after) = until_final(side, loaded).await?;
        let accepted_all = accepted_before + answers.accepted();
        if fault == Fault::None {
            run.cpu_per_order = Some(1e3 * used.total() / answers.accepted().max(1) as f64);
        }
        accepted_before = accepted_all;
        let during = answers.within(start, start + Duration::from_secs_f64(healed));
        let (accepted, latency) = summary(&during)?;
        let healthy = run.healthy().unwrap_or(latency);
        run.scenarios.push(Scenario {
            fault,
            recovered_after: recovered_after(&seconds, healed, &healthy),
            seconds,
            healed,
            requests: during.len(),
            accepted,
            latency,
            final_after,
            lost: accepted_all - (orders.confirmed - first.confirmed),
            orders: orders.since(&before),
        });
        before = orders;
    }
    Ok(run)
}

/// Loads the system during a fault and a while after. Returns the seconds of the load, and when the fault was healed.
async fn faulty_load(
    side: &mut Side,
    fault: Fault,
    rate: f64,
    answers: &Answers,
    start: SystemTime,
    lengths: &Lengths,
) -> anyhow::Result<(Vec<Second>, f64)> {
    let (address, observer, length) = (side.address(), answers.observer(), lengths.fault + lengths.after);
    let mut orders = side.orders().await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let load = tokio::spawn(async move {
        load::run_observed(&address, Rate::Open(rate), length, &observer).await;
        over.store(true, Ordering::Release);
    });
    let seconds_since_start = || start.elapsed().map_or(0.0, |elapsed| elapsed.as_secs_f64());
    let faulting = async {
        side.fault(fault, lengths.fault).await?;
        anyhow::Ok(seconds_since_start())
    };
    tokio::pin!(faulting);
    let (mut ticks, mut seconds, mut healed) =
        (tokio::time::interval(Duration::from_secs(1)), Vec::new(), None);
    while !is_over.load(Ordering::Acquire) {
        tokio::select! {
            result = &mut faulting, if healed.is_none() => healed = Some(result?),
            _ = ticks.tick() => {
                let waiting = waiting(&mut orders).await?;
                // A second is complete when the one after it is over, unless its answers take longer.
                let at = seconds.len() as u64;
                if at as f64 + 2.0 < seconds_since_start() && at < length.as_secs() {
                    let second = second(answers, start, at, waiting)?;
                    show(&second);
                    seconds.push(second);
                }
            }
        }
    }
    load.await?;
    // Late answers are part of the second in which their requests were due.
    let waits =
        seconds.iter().map(|second| second.waiting).chain(std::iter::repeat(waiting(&mut orders).await?));
    let all = (0..length.as_secs()).zip(waits).map(|(at, waiting)| second(answers, start, at, waiting));
    let all = all.collect::<anyhow::Result<_>>()?;
    let healed = match healed {
        Some(healed) => healed,
        None => faulting.await?,
    };
    Ok((all, healed))
}

/// The number of orders that are not decided.
async fn waiting(orders: &mut PgConnection) -> anyhow::Result<i64> {
    let count = "SELECT count(*) FROM orders WHERE status = 'placed'";
    Ok(sqlx::query_scalar(count).fetch_one(orders).await?)
}

/// Waits until every order is final. Returns the orders, and the seconds since `loaded`.
pub(crate) async fn until_final(side: &Side, loaded: Instant) -> anyhow::Result<(Final, Option<f64>)> {
    loop {
        let orders = side.finals().await?;
        if orders.open == 0 && orders.charged == orders.confirmed {
            return Ok((orders, Some(loaded.elapsed().as_secs_f64())));
        }
        if loaded.elapsed() > RECOVERY {
            return Ok((orders, None));
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
