//! How long to wait before the world is tried again: longer each time, up to five seconds, never quite the same.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses of one outage; the next one begins with a new value.
#[derive(Debug)]
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(crate) fn new() -> Self {
        let pauses = ExponentialBuilder::default().with_min_delay(SHORTEST).with_max_delay(LONGEST);
        Self(pauses.with_jitter().without_max_times().build())
    }

    pub(crate) fn pause(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }
}
