//! The bytes of requests' bodies that the process holds while they arrive. A new body is never refused for those that
//! have not ended: when the bytes run out, the body that began first is given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// What is held at most: with the buffers of all connections and the rest of a service it stays well below the 96 MB of a
/// container.
const BYTES: usize = 4 * 1024 * 1024;

/// The budget of this process.
pub(crate) static BODIES: Budget = Budget::new(BYTES);

/// So many bytes, shared by bodies.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    shares: BTreeMap<u64, (usize, CancellationToken)>,
    next: u64,
}

impl Budget {
    const fn new(bytes: usize) -> Self {
        Self { bytes, held: Mutex::new(Held { bytes: 0, shares: BTreeMap::new(), next: 0 }) }
    }

    /// A share without any bytes yet.
    pub(crate) fn share(&self) -> Share<'_> {
        let (mut held, given_up) = (self.held(), CancellationToken::new());
        let id = held.next;
        held.next += 1;
        held.shares.insert(id, (0, given_up.clone()));
        Share { budget: self, id, given_up }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    id: u64,
    given_up: CancellationToken,
}

impl Share<'_> {
    /// Sets what it holds, at the cost of the oldest others if need be.
    pub(crate) fn set(&self, bytes: usize) {
        let mut held = self.budget.held();
        let Some((mine, _)) = held.shares.get_mut(&self.id) else { return };
        let before = std::mem::replace(mine, bytes);
        held.bytes = held.bytes + bytes - before;
        while held.bytes > self.budget.bytes {
            let oldest = held.shares.iter().find(|(id, (bytes, _))| **id != self.id && *bytes > 0);
            let Some((&id, _)) = oldest else { break };
            if let Some((bytes, given_up)) = held.shares.remove(&id) {
                held.bytes -= bytes;
                given_up.cancel();
                metrics::counter!("http_bodies_given_up_total").increment(1);
            }
        }
    }

    /// Returns when another body needed the bytes.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        if let Some((bytes, _)) = held.shares.remove(&self.id) {
            held.bytes -= bytes;
        }
    }
}

/// Describes the metrics of this module for the recorder that is installed.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "http_bodies_given_up_total",
        "Requests given up with 503 before their body had arrived, because newer ones needed the memory."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_body_makes_room_and_nothing_is_held_in_the_end() {
        let budget = Budget::new(100);
        let (first, second, third) = (budget.share(), budget.share(), budget.share());
        first.set(60);
        second.set(40);
        assert!(!first.given_up.is_cancelled());
        third.set(10);
        assert!(first.given_up.is_cancelled() && !second.given_up.is_cancelled());
        assert_eq!(budget.held().bytes, 50);
        drop((first, second));
        third.set(200);
        assert!(!third.given_up.is_cancelled(), "one alone is bounded by the size of a body");
        drop(third);
        assert_eq!(budget.held().bytes, 0);
        assert!(budget.held().shares.is_empty());
    }
}
