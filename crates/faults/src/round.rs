//! One round: load, a fault, recovery, and the check of the whole history.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use checker::{Contradiction, History};
use futures::future::join_all;
use serde_json::json;
use system_tests::Random;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::collect::{Progress, progress};
use crate::load::Customer;
use crate::site::Site;

/// The load before and after a fault.
const LOAD: Duration = Duration::from_millis(1500);
/// The time within which a system must be idle after a fault.
const IDLE_WITHIN: Duration = Duration::from_secs(90);
/// The time between two looks at the tables.
const AGAIN: Duration = Duration::from_millis(200);
/// While waves of back-in-stock mails are due, the next one is at most this far away: `WAVE_INTERVAL`, the interval in which the
/// service looks for due ones, and a second for the work.
const WAVES: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Outcome {
    /// The time from the repair until an order that was placed afterwards is confirmed.
    pub recovery: Duration,
    /// The time from the end of the load until nothing waits any more.
    pub idle: Duration,
    /// The largest resident memory of a service's process so far, in MB, and the process.
    pub memory: (u64, String),
    /// Contradictions, and other findings, such as a panic.
    pub found: Vec<String>,
    /// The whole history of the site, if this round checked it.
    pub history: Option<History>,
}

impl Site {
    /// Puts load on the site, breaks it, waits for the recovery and, if this round `checks`, checks the history. `broken` leaves
    /// the site whole again.
    pub async fn round(
        &self,
        name: &str,
        broken: impl AsyncFnOnce(&Self, &mut Random) -> anyhow::Result<()>,
        seed: u64,
        checks: bool,
    ) -> anyhow::Result<Outcome> {
        let mut random = Random::new(seed);
        let stop = CancellationToken::new();
        let customers = (0..self.customers).map(|number| {
            let random = Random::new(seed ^ ((number + 1) << 32));
            Customer::new(self, format!("{name}-{number}"), random, stop.clone()).run()
        });
        let breaking = async {
            let _stop = stop.clone().drop_guard();
            sleep(LOAD).await;
            broken(self, &mut random).await.context("the fault itself failed")?;
            let started = Instant::now();
            let recovered = self.recover(name).await;
            if recovered.is_err() {
                // Now, because the state may be another one when the load has ended.
                self.shop.system.show_state();
            }
            let recovery = started.elapsed();
            sleep(LOAD).await;
            Ok::<_, anyhow::Error>((recovery, recovered.err()))
        };
        let (recovery, _) = futures::join!(breaking, join_all(customers));
        let (recovery, failed) = recovery?;
        let (idle, unfinished) = self.quiesce().await?;
        let history = if checks { Some(self.collect().await?) } else { None };
        let contradictions = history.as_ref().map(checker::check).unwrap_or_default();
        let mut found: Vec<String> =
            unfinished.iter().chain(&contradictions).map(ToString::to_string).collect();
        found.extend(failed.map(|error| format!("recovers: {error:#}")));
        found.extend(self.accidents());
        Ok(Outcome { recovery, idle, memory: self.memory(), found, history })
    }

    /// Waits until an order that is placed now is confirmed.
    async fn recover(&self, name: &str) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let email = format!("{name}-probe@example.com");
        let body = json!({"email": email, "payment_method": "pm_card_visa", "items": [{"sku": "PLENTY", "quantity": 1}]});
        let last = Mutex::new(None);
        let probe = async {
            let timeout = Duration::from_secs(2);
            let placed = self.place(&format!("{name}-probe"), &body, timeout, &stop).await;
            let id = placed.context("the probe is refused")?["id"].as_str().context("an id")?.to_owned();
            loop {
                let order = self.read(&id).await;
                if order["status"] == "confirmed" {
                    return Ok(());
                }
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(order);
                sleep(Duration::from_millis(25)).await;
            }
        };
        let done = tokio::time::timeout(IDLE_WITHIN, probe).await;
        let last = || last.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        done.unwrap_or_else(|_| bail!("an order after the fault is not confirmed in time: {}", last()))
    }

    /// Waits until nothing is left to do. Returns what is left after the longest time.
    pub(crate) async fn quiesce(&self) -> anyhow::Result<(Duration, Vec<Contradiction>)> {
        let started = Instant::now();
        // The progress at the last look that found nothing to do, and the time since which it has not changed.
        let mut still: Option<(Progress, Instant)> = None;
        loop {
            let at = self.now();
            let looked = self.look().await;
            let left = looked.as_ref().map_or_else(|_| Vec::new(), checker::unfinished);
            let now = looked.as_ref().ok().filter(|_| left.is_empty()).map(progress);
            let pause = if self.waves_are_due().await.unwrap_or(true) { WAVES } else { AGAIN };
            let since = match (&now, still) {
                (Some(now), Some((known, since))) if *now == known => since,
                _ => Instant::now(),
            };
            if since.elapsed() >= pause {
                self.record().idle_at.push(at);
                return Ok((started.elapsed(), left));
            }
            still = now.map(|now| (now, since));
            if started.elapsed() > IDLE_WITHIN {
                looked?;
                return Ok((started.elapsed(), left));
            }
            sleep(AGAIN).await;
        }
    }

    /// Panics in logs, and processes that ended by themselves.
    fn accidents(&self) -> Vec<String> {
        let mut found = Vec::new();
        for daemon in self.daemons() {
            if let Some(line) = daemon.all_output().lines().find(|line| line.contains("panicked at")) {
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
