use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::{Queue, Worker};

const CALLS: usize = 2;

/// A queue whose table has no rows that are due.
#[derive(Default)]
struct Empty {
    recorded: Arc<Mutex<Vec<&'static str>>>,
}

impl Queue for Empty {
    type Job = &'static str;
    type Outcome = ();

    const NAME: &'static str = "empty";
    const LONGEST_PAUSE: Duration = Duration::ZERO;

    async fn claim(&self, _: Uuid, _: i64, _: Duration) -> sqlx::Result<Vec<Self::Job>> {
        Ok(Vec::new())
    }

    async fn perform(&self, _: &Self::Job) {}

    fn timed_out(&self, _: &Self::Job) {}

    async fn record(&self, done: &[(Self::Job, ())]) -> sqlx::Result<bool> {
        self.recorded.lock().unwrap().extend(done.iter().map(|(job, ())| *job));
        Ok(false)
    }

    async fn hasten(&self, _: Duration) -> sqlx::Result<u64> {
        Ok(0)
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        Ok(0)
    }
}

/// A running worker on an empty queue.
struct Running {
    hand_over: HandOver<&'static str>,
    recorded: Arc<Mutex<Vec<&'static str>>>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        let queue = Empty::default();
        let recorded = Arc::clone(&queue.recorded);
        let worker = Worker::new(queue, Arc::default(), CALLS, Duration::from_mins(1));
        let (hand_over, stop) = (worker.hand_over(), CancellationToken::new());
        let ended = tokio::spawn(worker.run(stop.clone()));
        Self { hand_over, recorded, stop, ended }
    }

    /// Waits until so many calls are free.
    async fn are_free(&self, calls: usize) {
        let free = async {
            while self.hand_over.reserve(CALLS).calls() != calls {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
    }

    /// Stops the worker, and returns the rows whose results it has written.
    async fn stop(self) -> Vec<&'static str> {
        self.stop.cancel();
        self.ended.await.unwrap();
        std::mem::take(&mut *self.recorded.lock().unwrap())
    }
}

#[tokio::test]
async fn rows_are_handed_over_while_calls_are_free() {
    let running = Running::start();
    let reserved = running.hand_over.reserve(5);
    assert_eq!(reserved.calls(), CALLS);
    assert_eq!(running.hand_over.reserve(1).calls(), 0);
    reserved.hand_over(["a", "b"]);
    running.are_free(CALLS).await;
    assert_eq!(running.stop().await, ["a", "b"]);
}

#[tokio::test]
async fn a_transaction_that_fails_frees_its_calls() {
    let running = Running::start();
    drop(running.hand_over.reserve(CALLS));
    assert_eq!(running.hand_over.reserve(CALLS).calls(), CALLS);
    assert!(running.stop().await.is_empty());
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_the_rows_of_open_transactions() {
    let running = Running::start();
    let reserved = running.hand_over.reserve(1);
    running.stop.cancel();
    // One call is free, but nothing can be reserved any more.
    running.are_free(0).await;
    reserved.hand_over(["late"]);
    assert_eq!(running.stop().await, ["late"]);
}
