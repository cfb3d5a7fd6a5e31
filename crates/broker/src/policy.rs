//! The reaction of the consumer to a batch that fails: pauses, attempts, dead letters.

use std::num::NonZeroU32;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The retry and dead-letter policy of a subscription.
///
/// Regardless of the policy, a record that can never be applied becomes a dead letter: at once if it does not parse or the
/// handler rejects it, after the second refusal if Postgres refuses its data. An outage of the database is retried until it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// The pauses between the attempts at a batch that fails.
    pub pauses: Pauses,
    /// The number of attempts at a record, after which it becomes a dead letter although another attempt might succeed.
    /// Only attempts that the database or the handler answered with an error count, not outages. `None` (the default): no
    /// limit; the consumer waits, with all its topics, until the cause is repaired.
    pub attempts: Option<NonZeroU32>,
    /// The number of dead letters in a row, without one success on the topic, after which the consumer stops and
    /// waits: so many bad records look like a bad deployment. `None` (the default):
    /// [`Settings::dead_letter_limit`](crate::Settings::dead_letter_limit).
    pub dead_letter_limit: Option<u64>,
}

/// Pauses between attempts: each is twice as long as the one before, up to the longest, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The first pause, 100 ms by default.
    pub first: Duration,
    /// The longest pause, 5 s by default.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

/// The pauses of one outage; the next outage begins with a new value.
#[derive(Debug)]
pub(crate) struct Backoff {
    pauses: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(pauses: Pauses) -> Self {
        let Pauses { first, longest } = pauses;
        let pauses = ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest);
        Self { pauses: pauses.with_jitter().without_max_times().build(), longest }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        self.pauses.next().unwrap_or(self.longest)
    }
}
