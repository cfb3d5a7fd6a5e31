//! Rows that a transaction of this process claims as it writes them, and hands to the worker without a look at the table.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Hands rows to the worker of the same process. Cheap to clone.
///
/// A transaction that makes rows due reserves calls for them, claims as many of them, and hands these over after its commit. A
/// crash, or a commit whose answer is lost, leaves claimed rows; any worker claims them when their lease has ended.
#[derive(Debug)]
pub struct HandOver<J> {
    free_calls: Arc<Semaphore>,
    jobs: mpsc::Sender<Handed<J>>,
}

/// A claimed row, and the permit for its call.
#[derive(Debug)]
pub(super) struct Handed<J> {
    pub job: J,
    pub permit: OwnedSemaphorePermit,
}

/// Calls that wait for their rows. Dropped, it frees them. A worker that stops waits for the rows of all reservations.
#[derive(Debug)]
pub struct Reserved<J>(Vec<(OwnedSemaphorePermit, mpsc::OwnedPermit<Handed<J>>)>);

impl<J> Clone for HandOver<J> {
    fn clone(&self) -> Self {
        Self { free_calls: Arc::clone(&self.free_calls), jobs: self.jobs.clone() }
    }
}

impl<J: Send> HandOver<J> {
    pub(super) fn new(free_calls: Arc<Semaphore>, concurrency: usize) -> (Self, mpsc::Receiver<Handed<J>>) {
        let (jobs, handed) = mpsc::channel(concurrency);
        (Self { free_calls, jobs }, handed)
    }

    /// Reserves calls for at most `most` rows: only as many as are free, and none while the worker stops.
    #[must_use]
    pub fn reserve(&self, most: usize) -> Reserved<J> {
        let one = || {
            let call = Arc::clone(&self.free_calls).try_acquire_owned().ok()?;
            Some((call, self.jobs.clone().try_reserve_owned().ok()?))
        };
        Reserved(std::iter::repeat_with(one).take(most).map_while(|one| one).collect())
    }
}

impl<J: Send> Reserved<J> {
    /// Returns the number of calls.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.len()
    }

    /// Hands over rows that a transaction has claimed and committed, at most as many as there are [`calls`](Self::calls).
    pub fn hand_over(self, jobs: impl IntoIterator<Item = J>) {
        for ((permit, place), job) in self.0.into_iter().zip(jobs) {
            place.send(Handed { job, permit });
        }
    }
}

#[cfg(test)]
mod tests;
