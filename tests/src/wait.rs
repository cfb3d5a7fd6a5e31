//! Waits on conditions.

use std::time::{Duration, Instant};

/// The time after which a condition counts as never met.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// Polls a condition until it returns a value; panics with `what` after [`TIMEOUT`].
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within_timeout(ask).await.unwrap_or_else(|| panic!("not within {TIMEOUT:?}: {what}"))
}

/// Polls a condition until it returns a value; `None` after [`TIMEOUT`].
pub async fn within_timeout<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < TIMEOUT {
        if let Some(found) = ask().await {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
