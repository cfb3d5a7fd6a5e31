//! The channels by which a message leaves the system. A message takes every channel that is on: the log always, a mail server
//! where `SMTP_URL` is set.

pub(crate) mod log;
pub(crate) mod smtp;

use std::future::Future;
use std::time::Duration;

use events::values::EmailAddress;

use crate::domain::delivery::{Attempt, Delivery};

pub(crate) trait Channel: Send + Sync + 'static {
    /// Its name in events.
    const CHANNEL: events::Channel;
    /// The name of its queue in logs and metrics.
    const QUEUE: &'static str;
    /// The lease of a claim; the worker renews it while sending takes longer.
    const LEASE: Duration;
    /// The most time that sending may take; then it is cut off.
    const DEADLINE: Duration;

    /// The messages that this instance sends at the same time: at most so many go out twice when it is killed.
    fn concurrency(&self) -> usize;

    /// The messages that this instance claims while those are under way, and does not send yet.
    fn ahead(&self) -> usize {
        0
    }

    /// How many of `wanted` messages may be tried now.
    fn room(&self, wanted: i64) -> i64 {
        wanted
    }

    /// Hands the message to the channel.
    fn send(&self, delivery: &Delivery, to: &EmailAddress) -> impl Future<Output = Attempt> + Send;
}
