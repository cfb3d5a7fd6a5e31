//! A call for a claimed row.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::queue::Queue;

pub(super) struct Ended<Q: Queue> {
    pub job: Q::Job,
    pub outcome: Q::Outcome,
    /// The time since the claim, the wait for a free call included.
    pub took: Duration,
    /// Held until the result is written; `None` when the call was never made.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Makes the call of `job`, and renews its claim meanwhile. Without a `permit`, the call waits until one of the `calls` is free.
/// Drops the call when it takes longer than `deadline`, or when the claim is lost.
pub(super) async fn call<Q: Queue>(
    queue: Arc<Q>,
    job: Q::Job,
    mut permit: Option<OwnedSemaphorePermit>,
    calls: Arc<Semaphore>,
    lease: Duration,
    deadline: Duration,
) -> Ended<Q> {
    let claimed = Instant::now();
    let perform = async {
        if permit.is_none() {
            permit = calls.acquire_owned().await.ok();
        }
        tokio::time::timeout(deadline, queue.perform(&job)).await.ok()
    };
    let outcome = tokio::select! {
        called = perform => called,
        () = renew(&*queue, &job, lease) => None,
    };
    let outcome = outcome.unwrap_or_else(|| queue.timed_out(&job));
    Ended { job, outcome, took: claimed.elapsed(), permit }
}

/// Renews the claim of `job` every third of the lease; returns when the claim is lost.
async fn renew<Q: Queue>(queue: &Q, job: &Q::Job, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        match queue.renew(job, lease).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(queue = Q::NAME, "a claim was lost while its call was under way");
                return;
            }
            // Without the database no other instance can claim the row either.
            Err(error) => tracing::debug!(queue = Q::NAME, %error, "a claim cannot be renewed; trying again"),
        }
    }
}
