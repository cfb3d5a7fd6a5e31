//! A bank of one's own for each test, and the ways to break it.

mod bank;
mod books;
mod kafka;
mod process;

pub(crate) use bank::Bank;
pub(crate) use kafka::Raw;
pub(crate) use process::Process;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until `condition` holds, and says which one did not.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
