//! What a service says of its queue: how its rows are claimed, called and written.

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

/// A queue as a service supplies it.
pub trait Queue: Send + Sync + 'static {
    /// A claimed row; it carries its token.
    type Job: Send + Sync + 'static;
    /// What the call outside brought.
    type Outcome: Send + 'static;

    /// The queue's name in logs and metrics.
    const NAME: &'static str;
    /// The longest that a row waits for its next call.
    const LONGEST_PAUSE: Duration;

    /// Claims at most `limit` rows that are due, under `token`, for `lease`; a claim whose lease is over, or ends later than
    /// [`furthest`](crate::furthest) of `lease`, is due again.
    fn claim(
        &self,
        token: Uuid,
        limit: i64,
        lease: Duration,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Job>>> + Send;

    /// Calls outside. It is given the worker's deadline; [`timed_out`](Self::timed_out) tells what its end means.
    fn perform(&self, job: &Self::Job) -> impl Future<Output = Self::Outcome> + Send;

    /// Extends the claim of a call that is under way to `lease` from now; `false` when the claim is another's by now. A
    /// queue whose deadline is longer than its lease must have its own; with a shorter one there is nothing to extend.
    fn renew(&self, _job: &Self::Job, _lease: Duration) -> impl Future<Output = sqlx::Result<bool>> + Send {
        std::future::ready(Ok(true))
    }

    /// The outcome of a call that did not end in time, or whose claim was lost: not known.
    fn timed_out(&self, job: &Self::Job) -> Self::Outcome;

    /// Writes results in one transaction, each only where the row's token is the job's, and releases the claims.
    fn record(&self, done: &[(Self::Job, Self::Outcome)]) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Makes due what is to be due later than `bound` from now, and returns how many rows that were. A statement of its own,
    /// called now and then: a wider condition in [`claim`](Self::claim) would take the order of its index from it.
    fn hasten(&self, bound: Duration) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// How many rows are due now.
    fn ready(&self) -> impl Future<Output = sqlx::Result<i64>> + Send;
}
