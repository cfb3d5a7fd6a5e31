//! A separate bank for each test, and the ways to break it.

pub(crate) mod accounts;
mod bank;
mod books;
mod kafka;
mod process;
mod proxy;
mod wire;

pub(crate) use bank::{Addresses, Bank, Plan};
pub(crate) use kafka::Raw;
pub(crate) use process::Process;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a condition may take to come true, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Waits until `condition` holds; panics with `what` when it does not in time.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    assert!(comes_true(condition).await, "timed out before {what}");
}

/// Waits until `condition` holds; `false`: it did not in time.
pub(crate) async fn comes_true<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    while !condition().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// Waits until a service's status fulfils `condition`, and returns the status.
pub(crate) async fn says<S: Clone + std::fmt::Debug + Send + Sync>(
    status: &mut tokio::sync::watch::Receiver<S>,
    what: &str,
    condition: impl FnMut(&S) -> bool,
) -> S {
    let said =
        tokio::time::timeout(TIMEOUT, status.wait_for(condition)).await.map(|said| said.unwrap().clone());
    said.unwrap_or_else(|_| panic!("timed out before {what}; it says {:?}", *status.borrow()))
}
