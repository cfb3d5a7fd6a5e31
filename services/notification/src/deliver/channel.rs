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
    /// Messages under way at the same time, an instance: so many may go out twice when it is killed.
    const CONCURRENCY: usize;
    /// How long a claim holds; sending is cut off before.
    const LEASE: Duration;

    /// Gives the message to the channel.
    fn send(&self, delivery: &Delivery, to: &EmailAddress) -> impl Future<Output = Attempt> + Send;
}
