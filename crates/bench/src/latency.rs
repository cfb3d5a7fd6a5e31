//! Latencies, in an HDR histogram with microseconds as its unit.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The upper end of the histogram: an hour.
const LARGEST: u64 = 3_600_000_000;

/// The latencies of one load.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// The percentiles of a load, in milliseconds.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latencies {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_max(LARGEST, 3)?))
    }

    pub fn of(latencies: impl IntoIterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut all = Self::new()?;
        latencies.into_iter().for_each(|latency| all.record(latency));
        Ok(all)
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LARGEST));
    }

    pub fn percentiles(&self) -> Percentiles {
        let at = |share: f64| self.0.value_at_quantile(share) as f64 / 1e3;
        Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1e3,
        }
    }
}
