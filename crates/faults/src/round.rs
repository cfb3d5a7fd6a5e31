//! One round: load, a fault, recovery, and the check of the whole history.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use checker::{Contradiction, History};
use futures::future::join_all;
use serde_json::json;
use system_tests::Random;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::collect::positions;
use crate::faults::Fault;
use crate::load::Customer;
use crate::site::Site;

/// The load before and after a fault.
const LOAD: Duration = Duration::from_millis(1500);
/// The time within which a system must be idle after a fault.
const IDLE_WITHIN: Duration = Duration::from_secs(90);

/// The result of a round.
#[derive(Debug)]
pub struct Outcome {
    /// From the repair until an order that was placed afterwards is confirmed.
    pub recovery: Duration,
    /// From the end of the load until nothing waits any more.
    pub idle: Duration,
    /// The number of orders, in all rounds of the site.
    pub orders: usize,
    /// The number of records, in all rounds of the site.
    pub records: usize,
    /// The largest resident memory of a service's process so far, in MB, and the process.
    pub memory: (u64, String),
    /// What contradicts each other, and other findings, such as a panic.
    pub found: Vec<String>,
    /// The whole history, for a later look.
    pub history: History,
}

impl Site {
    /// Puts load on the site, injects the fault, waits for the recovery and checks the history.
    pub async fn round(&self, name: &str, fault: &Fault, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Random::new(seed);
        let stop = CancellationToken::new();
        let customers = (0..self.customers).map(|number| {
            let random = Random::new(seed ^ ((number + 1) << 32));
            Customer::new(self, format!("{name}-{number}"), random, stop.clone()).run()
        });
        let breaking = async {
            let _stop = stop.clone().drop_guard();
            sleep(LOAD).await;
            (fault.run)(self, &mut random).await.with_context(|| format!("the fault {}", fault.name))?;
            let recovery = self.recover(name).await?;
            sleep(LOAD).await;
            Ok::<_, anyhow::Error>(recovery)
        };
        let (recovery, _) = futures::join!(breaking, join_all(customers));
        let recovery = recovery?;
        let (idle, unfinished) = self.settle().await?;
        let history = self.collect().await?;
        let mut found: Vec<String> = unfinished.iter().map(ToString::to_string).collect();
        found.extend(checker::check(&history).iter().map(ToString::to_string));
        found.extend(self.accidents());
        Ok(Outcome {
            recovery,
            idle,
            orders: history.tables.orders.len(),
            records: history.records.len(),
            memory: self.memory(),
            found,
            history,
        })
    }

    /// Waits until an order that is placed now is confirmed.
    async fn recover(&self, name: &str) -> anyhow::Result<Duration> {
        let (started, stop) = (Instant::now(), CancellationToken::new());
        let email = format!("{name}-probe@example.com");
        let body = json!({"email": email, "payment_method": "pm_card_visa", "items": [{"sku": "PLENTY", "quantity": 1}]});
        let probe = async {
            let patience = Duration::from_secs(2);
            let order = self
                .place(&format!("{name}-probe"), &body, patience, &stop)
                .await
                .context("the probe is refused")?;
            let id = order["id"].as_str().context("an id")?.to_owned();
            while self.read(&id).await["status"] != "confirmed" {
                sleep(Duration::from_millis(25)).await;
            }
            Ok(started.elapsed())
        };
        tokio::time::timeout(IDLE_WITHIN, probe)
            .await
            .context("an order after the fault is not confirmed in time")?
    }

    /// Waits until nothing is left to do. Returns what is left after the longest time.
    async fn settle(&self) -> anyhow::Result<(Duration, Vec<Contradiction>)> {
        let (started, mut before) = (Instant::now(), None);
        loop {
            let at = self.now();
            let looked = self.look().await;
            let left = looked.as_ref().map_or_else(|_| Vec::new(), checker::unfinished);
            let positions = looked.as_ref().ok().filter(|_| left.is_empty()).map(positions);
            if positions.is_some() && positions == before {
                self.record().idle_at.push(at);
                return Ok((started.elapsed(), left));
            }
            if started.elapsed() > IDLE_WITHIN {
                looked?;
                return Ok((started.elapsed(), left));
            }
            before = positions;
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Panics in logs, and processes that ended by themselves.
    fn accidents(&self) -> Vec<String> {
        let mut found = Vec::new();
        for daemon in self.daemons() {
            if let Some(line) = daemon.output().lines().find(|line| line.contains("panicked at")) {
                found.push(format!("no-panic: {}: {line}", daemon.name()));
            }
        }
        for service in self.services() {
            if let Some(how) = self.shop.system.service(&service).end() {
                found.push(format!("no-process-ends: {service} {how}"));
            }
        }
        found
    }

    fn memory(&self) -> (u64, String) {
        let largest =
            self.daemons().filter_map(|daemon| Some((resident_mb(daemon.pid()?)?, daemon.name().to_owned())));
        largest.max().unwrap_or_default()
    }
}

/// The largest resident memory of a process so far.
fn resident_mb(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
