//! The trait of a service's queue: it claims rows, makes their calls and writes their results.

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

/// A service's queue for a [`Worker`](crate::Worker).
pub trait Queue: Send + Sync + 'static {
    /// A claimed row with its token.
    type Job: Send + Sync + 'static;
    /// The result of a call.
    type Outcome: Send + Sync + 'static;

    /// The queue's name in logs and metrics.
    const NAME: &'static str;
    /// The longest pause of a row before its next call.
    const LONGEST_PAUSE: Duration;

    /// Claims at most `limit` rows that are due, with `token`, for `lease`. A claimed row is due again when its lease has
    /// ended, or ends later than [`furthest`](crate::furthest) of `lease`.
    fn claim(
        &self,
        token: Uuid,
        limit: i64,
        lease: Duration,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Job>>> + Send;

    /// Makes the call. The worker drops the call at its deadline; then [`timed_out`](Self::timed_out) is the outcome.
    fn perform(&self, job: &Self::Job) -> impl Future<Output = Self::Outcome> + Send;

    /// Extends the claim of a call in flight to `lease` from now; returns `false` when another instance has the claim. A queue
    /// with a deadline longer than its lease must implement this; the default is for shorter deadlines.
    fn renew(&self, _job: &Self::Job, _lease: Duration) -> impl Future<Output = sqlx::Result<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// Returns the outcome of a call that was dropped at its deadline, or whose claim was lost: its effect is unknown.
    fn timed_out(&self, job: &Self::Job) -> Self::Outcome;

    /// Writes results in one transaction, each only where the row's token is the job's, and releases the claims. Returns
    /// whether rows may be due now that were not due before.
    fn record(&self, done: &[(Self::Job, Self::Outcome)]) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Makes rows due that would be due later than `bound` from now, and returns their number. A statement of its own, called
    /// every 5 s: with the wider condition, [`claim`](Self::claim) could not use the order of its index.
    fn hasten(&self, bound: Duration) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Returns the number of rows that are due now.
    fn ready(&self) -> impl Future<Output = sqlx::Result<i64>> + Send;
}
