//! The highest rate of orders at which the lag stays bounded.

use std::time::{Duration, Instant};

use bench::load::{self, Outcome, Rate};
use bench::shop::Shop;

/// The interval of the lag's samples.
const SAMPLE: Duration = Duration::from_millis(250);
/// The search ends when the highest rate that held and the lowest that did not differ by less than this factor.
const PRECISION: f64 = 1.1;
/// The factor by which the search raises a rate that held, while none has failed.
const GROWTH: f64 = 2.0;
/// The time within which a backlog must be processed after a load.
const DRAIN: Duration = Duration::from_mins(4);

/// A load at a fixed rate, and the lag meanwhile.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) rate: f64,
    pub(crate) outcome: Outcome,
    /// Orders due and not yet notified, by time since the start.
    lag: Vec<(Duration, f64)>,
    length: Duration,
}

impl Run {
    /// Whether nothing was refused, at most one second's arrivals waited at the end, and the lag of the last third exceeded
    /// that of the middle third by at most a quarter of a second's arrivals.
    pub(crate) fn is_bounded(&self) -> bool {
        let (growth, end) = (self.growth(), self.end());
        self.outcome.refused == 0 && end <= self.rate && growth <= self.rate / 4.0
    }

    /// The orders that waited in the last third of the load, less those in the middle third.
    fn growth(&self) -> f64 {
        let third = self.length / 3;
        let mean = |from: Duration, to: Duration| {
            let within: Vec<f64> =
                self.lag.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, lag)| *lag).collect();
            within.iter().sum::<f64>() / within.len().max(1) as f64
        };
        mean(2 * third, self.length) - mean(third, 2 * third)
    }

    /// The orders that waited at the end of the load.
    fn end(&self) -> f64 {
        self.lag.iter().rev().find(|(at, _)| *at <= self.length).map_or(0.0, |(_, lag)| *lag)
    }

    /// The verdict in a line.
    fn describe(&self) -> String {
        format!(
            "{:.0} orders per second {}: {} refused, {:.0} waiting at the end, {:+.0} in the last third",
            self.rate,
            if self.is_bounded() { "held" } else { "did not hold" },
            self.outcome.refused,
            self.end(),
            self.growth()
        )
    }
}

/// Loads the shop at `rate` for `length` and samples the lag. Returns when the backlog is processed.
pub(crate) async fn at(shop: &Shop, rate: f64, length: Duration) -> anyhow::Result<Run> {
    let (address, before) = (shop.address(), shop.notified().await?);
    let start = Instant::now();
    let loading = load::run(&address, Rate::Open(rate), length);
    tokio::pin!(loading);
    let (mut lag, mut outcome) = (Vec::new(), None);
    let mut ticks = tokio::time::interval(SAMPLE);
    loop {
        tokio::select! {
            ended = &mut loading, if outcome.is_none() => outcome = Some(ended),
            _ = ticks.tick() => {
                let (elapsed, notified) = (start.elapsed(), (shop.notified().await? - before) as f64);
                let due = match &outcome {
                    None => elapsed.min(length).as_secs_f64() * rate,
                    Some(outcome) => outcome.accepted.len() as f64,
                };
                lag.push((elapsed, (due - notified).max(0.0)));
                if outcome.is_some() && (notified >= due || elapsed > length + DRAIN) {
                    break;
                }
            }
        }
    }
    Ok(Run { rate, outcome: outcome.unwrap_or_default(), lag, length })
}

/// Finds the highest sustained rate by loads of `step` and confirms it by one of `confirm`, beginning at `first` orders per
/// second. `None` when not even a tenth of it holds.
pub(crate) async fn find(
    shop: &Shop,
    first: f64,
    step: Duration,
    confirm: Duration,
) -> anyhow::Result<Option<Run>> {
    let (mut held, mut failed, mut rate): (Option<f64>, Option<f64>, f64) = (None, None, first);
    while held.zip(failed).is_none_or(|(held, failed)| failed / held > PRECISION) {
        let run = at(shop, rate, step).await?;
        eprintln!("  {}", run.describe());
        if run.is_bounded() {
            held = Some(rate);
        } else {
            failed = Some(rate);
        }
        rate = match (held, failed) {
            (Some(held), Some(failed)) => (held * failed).sqrt(),
            (Some(held), None) => held * GROWTH,
            (None, Some(failed)) if failed > first / 10.0 => failed / GROWTH,
            (None, _) => return Ok(None),
        };
    }
    let mut rate = held.unwrap_or(first);
    while rate > first / 10.0 {
        eprintln!("  confirming {rate:.0} orders per second for {} s", confirm.as_secs());
        let run = at(shop, rate, confirm).await?;
        eprintln!("  {}", run.describe());
        if run.is_bounded() {
            return Ok(Some(run));
        }
        rate /= PRECISION;
    }
    Ok(None)
}
