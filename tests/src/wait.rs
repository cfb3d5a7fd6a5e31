//! Waits on conditions.

use std::time::{Duration, Instant};

/// The time after which a condition counts as never met.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// Polls a condition until it returns a value; panics with `what` after [`TIMEOUT`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
