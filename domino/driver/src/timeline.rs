//! Answers by second, from the time at which their requests were due.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bench::latency::{Latencies, Percentiles};
use bench::load::{Answer, Observer};
use serde::Serialize;

/// All answers of a load so far.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Vec<Answer>>>);

/// One second of a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Second {
    /// Seconds since the beginning of the load.
    pub(crate) at: u64,
    pub(crate) accepted: usize,
    pub(crate) errors: usize,
    /// The 99th percentile of the latency, in milliseconds.
    pub(crate) p99: f64,
    /// The orders that were accepted and not decided by the end of the second: in the event-driven shop they wait in the log.
    pub(crate) waiting: i64,
}

impl Answers {
    pub(crate) fn observer(&self) -> Observer {
        let answers = self.clone();
        Arc::new(move |answer| answers.0.lock().unwrap_or_else(PoisonError::into_inner).push(*answer))
    }

    /// The number of accepted orders.
    pub(crate) fn accepted(&self) -> i64 {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().map(|answer| i64::from(answer.accepted.is_some())).sum()
    }

    /// The answers to requests that were due from `from` until `to`.
    pub(crate) fn within(&self, from: SystemTime, to: SystemTime) -> Vec<Answer> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().filter(|answer| (from..to).contains(&answer.due)).copied().collect()
    }
}

/// The number of accepted answers, and the percentiles of all answers' latencies: a failure, too, keeps its caller waiting.
pub(crate) fn summary(answers: &[Answer]) -> anyhow::Result<(usize, Percentiles)> {
    let accepted = answers.iter().filter(|answer| answer.accepted.is_some()).count();
    Ok((accepted, Latencies::of(answers.iter().map(|answer| answer.latency))?.percentiles()))
}

/// The second `at` of a load that began at `start`.
pub(crate) fn second(answers: &Answers, start: SystemTime, at: u64, waiting: i64) -> anyhow::Result<Second> {
    let from = start + Duration::from_secs(at);
    let within = answers.within(from, from + Duration::from_secs(1));
    let (accepted, latency) = summary(&within)?;
    Ok(Second { at, accepted, errors: within.len() - accepted, p99: latency.p99, waiting })
}

/// Returns how long after `healed` (seconds since the load began) the answers were as in the healthy system again: no errors,
/// and a p99 of at most twice the healthy one. `None` when that was not so at the end of the load.
pub(crate) fn recovered_after(seconds: &[Second], healed: f64, healthy: &Percentiles) -> Option<f64> {
    let is_bad = |second: &&Second| second.errors > 0 || second.p99 > 2.0 * healthy.p99;
    match seconds.iter().rfind(is_bad) {
        Some(bad) if bad.at + 1 == seconds.len() as u64 => None,
        Some(bad) => Some((bad.at as f64 + 1.0 - healed).max(0.0)),
        None => Some(0.0),
    }
}
