//! Waiting on conditions.

use std::time::{Duration, Instant};

/// What is not true by then never will be.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until there is something, and panics with `what` when there is nothing in time.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
