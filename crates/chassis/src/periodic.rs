//! Periodic tasks.

use std::fmt::Display;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::service::Task;

/// The interval of purging idempotency keys; so long may a key outlive its 24 hours.
const PURGE: Duration = Duration::from_mins(5);

impl Task {
    /// Creates a task that runs `tick` at once, and then every `interval`. A failed tick is logged and retried with the next one.
    pub fn every<T, E, F>(
        name: &'static str,
        interval: Duration,
        tick: impl FnMut() -> F + Send + 'static,
    ) -> Self
    where
        E: Display,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        Self::new(name, move |stop| async move {
            work::every(name, interval, &Notify::new(), stop, tick).await;
        })
    }
}

/// Deletes old idempotency keys, from a table that the database of each service has.
pub(crate) fn purge(pool: PgPool) -> Task {
    Task::every("purge of idempotency keys", PURGE, move || {
        let pool = pool.clone();
        async move { web::idempotency::purge(&pool).await }
    })
}
