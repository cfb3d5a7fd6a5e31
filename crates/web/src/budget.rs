//! A bound on the memory of all request bodies that are arriving. Incomplete bodies never keep a new one out: when the
//! memory is used up, the request whose body began first is answered with 503.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The most that all bodies may hold together, in bytes. With the buffers of all connections and the rest of a
/// service this stays well below the 96 MB of a container.
const BYTES: usize = 4 * 1024 * 1024;

/// The budget of this process.
pub(crate) static BODIES: Budget = Budget::new(BYTES);

/// A number of bytes that the bodies share.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    bytes: usize,
    shares: BTreeMap<u64, (usize, CancellationToken)>,
    next: u64,
}

impl Budget {
    const fn new(bytes: usize) -> Self {
        Self { bytes, usage: Mutex::new(Usage { bytes: 0, shares: BTreeMap::new(), next: 0 }) }
    }

    /// Returns a share that holds no bytes yet.
    pub(crate) fn share(&self) -> Share<'_> {
        let (mut usage, given_up) = (self.usage(), CancellationToken::new());
        let id = usage.next;
        usage.next += 1;
        usage.shares.insert(id, (0, given_up.clone()));
        Share { budget: self, id, given_up }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        // No code panics while it holds the lock.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that one body holds; dropping the share releases them.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    id: u64,
    given_up: CancellationToken,
}

impl Share<'_> {
    /// Sets how many bytes this body holds. Over the budget, the oldest other bodies lose theirs.
    pub(crate) fn set(&self, bytes: usize) {
        let mut usage = self.budget.usage();
        let Some((mine, _)) = usage.shares.get_mut(&self.id) else { return };
        let before = std::mem::replace(mine, bytes);
        usage.bytes = usage.bytes + bytes - before;
        while usage.bytes > self.budget.bytes {
            let oldest = usage.shares.iter().find(|(id, (bytes, _))| **id != self.id && *bytes > 0);
            let Some((&id, _)) = oldest else { break };
            if let Some((bytes, given_up)) = usage.shares.remove(&id) {
                usage.bytes -= bytes;
                given_up.cancel();
                metrics::counter!("http_bodies_given_up_total").increment(1);
            }
        }
    }

    /// Returns when a newer body has taken this body's bytes.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut usage = self.budget.usage();
        if let Some((bytes, _)) = usage.shares.remove(&self.id) {
            usage.bytes -= bytes;
        }
    }
}

pub(crate) fn describe() {
    metrics::describe_counter!(
        "http_bodies_given_up_total",
        "Requests answered with 503 before their body had arrived, because newer ones needed the memory."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_body_gives_way_and_all_bytes_are_released() {
        let budget = Budget::new(100);
        let (first, second, third) = (budget.share(), budget.share(), budget.share());
        first.set(60);
        second.set(40);
        assert!(!first.given_up.is_cancelled());
        third.set(10);
        assert!(first.given_up.is_cancelled() && !second.given_up.is_cancelled());
        assert_eq!(budget.usage().bytes, 50);
        drop((first, second));
        third.set(200);
        assert!(!third.given_up.is_cancelled(), "a single body is bounded by the limit of a body");
        drop(third);
        assert_eq!(budget.usage().bytes, 0);
        assert!(budget.usage().shares.is_empty());
    }
}
