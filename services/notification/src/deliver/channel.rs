//! How a message leaves the system. A message takes every channel that is on: the log always, a mail server where
//! `SMTP_URL` is set.

pub(crate) mod log;
pub(crate) mod smtp;

use std::future::Future;
use std::time::Duration;

use events::values::EmailAddress;

use super::delivery::{Attempt, Delivery};

/// A way out.
pub(crate) trait Channel: Send + Sync + 'static {
    /// Which one it is.
    const CHANNEL: events::Channel;
    /// The name of its queue in logs and metrics.
    const QUEUE: &'static str;
    /// How long a claim holds; it is renewed while sending takes longer.
    const LEASE: Duration;
    /// How long sending may take; then it is cut off.
    const DEADLINE: Duration;

    /// Messages under way at the same time, by this instance: so many may go out twice when it is killed.
    fn concurrency(&self) -> usize;

    /// How many of `wanted` messages may be tried now.
    fn room(&self, wanted: i64) -> i64 {
        wanted
    }

    /// Gives the message to the channel.
    fn send(&self, delivery: &Delivery, to: &EmailAddress) -> impl Future<Output = Attempt> + Send;
}
