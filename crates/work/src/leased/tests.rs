use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::*;

const LEASE: Duration = Duration::from_millis(60);

/// The job whose result the database refuses.
const REFUSED: &str = "refused";

/// The error of a value that Postgres refuses.
#[derive(Debug, thiserror::Error)]
#[error("invalid byte sequence")]
struct Refusal;

impl sqlx::error::DatabaseError for Refusal {
    fn message(&self) -> &'static str {
        "invalid byte sequence"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("22021".into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}

/// A queue of one job, whose call ends after `ends_after` renewals of its claim.
#[derive(Default)]
struct Slow {
    ends_after: u32,
    /// The renewal from which on another instance has the claim.
    lost_at: Option<u32>,
    jobs: Mutex<Vec<&'static str>>,
    renewals: AtomicU32,
    renewed: Notify,
    recorded: Arc<Mutex<Vec<(&'static str, bool)>>>,
}

impl Queue for Slow {
    type Job = &'static str;
    /// Whether the call ended by itself.
    type Outcome = bool;

    const NAME: &'static str = "slow";
    const LONGEST_PAUSE: Duration = Duration::ZERO;

    async fn claim(&self, _: Uuid, _: i64, _: Duration) -> sqlx::Result<Vec<Self::Job>> {
        Ok(std::mem::take(&mut *self.jobs.lock().unwrap()))
    }

    async fn perform(&self, _: &Self::Job) -> bool {
        while self.renewals.load(Ordering::SeqCst) < self.ends_after {
            self.renewed.notified().await;
        }
        true
    }

    async fn renew(&self, _: &Self::Job, _: Duration) -> sqlx::Result<bool> {
        let renewals = self.renewals.fetch_add(1, Ordering::SeqCst) + 1;
        self.renewed.notify_one();
        Ok(self.lost_at.is_none_or(|lost_at| renewals < lost_at))
    }

    fn timed_out(&self, _: &Self::Job) -> bool {
        false
    }

    async fn record(&self, done: &[(Self::Job, bool)]) -> sqlx::Result<bool> {
        if done.iter().any(|(job, _)| *job == REFUSED) {
            return Err(sqlx::Error::Database(Box::new(Refusal)));
        }
        self.recorded.lock().unwrap().extend(done);
        Ok(true)
    }

    async fn hasten(&self, _: Duration) -> sqlx::Result<u64> {
        Ok(0)
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        Ok(0)
    }
}

/// Runs one job with this deadline, and returns its recorded outcome.
async fn work(queue: Slow, deadline: Duration) -> bool {
    queue.jobs.lock().unwrap().push("job");
    let (recorded, stop) = (Arc::clone(&queue.recorded), CancellationToken::new());
    let worker = Worker::new(queue, Arc::default(), 1, LEASE).with_deadline(deadline);
    let running = tokio::spawn(worker.run(stop.clone()));
    let started = std::time::Instant::now();
    while recorded.lock().unwrap().is_empty() && started.elapsed() < Duration::from_secs(30) {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    let recorded = recorded.lock().unwrap().clone();
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    recorded[0].1
}

#[tokio::test]
async fn a_call_longer_than_the_lease_keeps_its_claim_until_it_ends() {
    // Nine renewals take nine thirds of the lease.
    assert!(work(Slow { ends_after: 9, ..Slow::default() }, Duration::from_mins(1)).await);
}

#[tokio::test]
async fn a_call_whose_claim_is_lost_is_dropped() {
    assert!(
        !work(Slow { ends_after: u32::MAX, lost_at: Some(2), ..Slow::default() }, Duration::from_mins(1))
            .await
    );
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_whatever_its_claim() {
    assert!(!work(Slow { ends_after: u32::MAX, ..Slow::default() }, LEASE * 2).await);
}

#[tokio::test]
async fn results_beside_a_refused_one_are_written() {
    let queue = Slow::default();
    let recorded = Arc::clone(&queue.recorded);
    let done = ["first", "second", REFUSED, "third", "fourth"].map(|job| (job, true));
    Recorder::new(Arc::new(queue)).record(&done).await;
    let mut jobs: Vec<_> = recorded.lock().unwrap().iter().map(|(job, _)| *job).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["first", "fourth", "second", "third"]);
}

/// A queue that never ends, whose calls take `call`; it notes the most rows that were claimed and not yet recorded, and fails when
/// more than two calls were made whose result is not recorded.
#[derive(Default)]
struct Endless {
    call: Duration,
    claimed: AtomicUsize,
    made: AtomicUsize,
    most: Arc<AtomicUsize>,
    recorded: Arc<AtomicUsize>,
}

impl Queue for Endless {
    type Job = ();
    type Outcome = ();

    const NAME: &'static str = "endless";
    const LONGEST_PAUSE: Duration = Duration::ZERO;

    async fn claim(&self, _: Uuid, limit: i64, _: Duration) -> sqlx::Result<Vec<()>> {
        let rows = usize::try_from(limit).unwrap();
        let claimed = self.claimed.fetch_add(rows, Ordering::SeqCst) + rows;
        self.most.fetch_max(claimed - self.recorded.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(vec![(); rows])
    }

    async fn perform(&self, (): &()) {
        let made = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(made - self.recorded.load(Ordering::SeqCst) <= 2, "a crash would repeat more calls");
        tokio::time::sleep(self.call).await;
    }

    fn timed_out(&self, (): &()) {}

    async fn record(&self, done: &[((), ())]) -> sqlx::Result<bool> {
        tokio::task::yield_now().await;
        self.recorded.fetch_add(done.len(), Ordering::SeqCst);
        Ok(false)
    }

    async fn hasten(&self, _: Duration) -> sqlx::Result<u64> {
        Ok(0)
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        Ok(0)
    }
}

/// Works on the queue with 2 concurrent calls, until 40 results are written. Returns the most rows that were claimed at a time.
async fn most_claimed(call: Duration) -> usize {
    let queue = Endless { call, ..Endless::default() };
    let (most, recorded, stop) =
        (Arc::clone(&queue.most), Arc::clone(&queue.recorded), CancellationToken::new());
    let worker = Worker::new(queue, Arc::default(), 2, Duration::from_mins(1)).with_ahead(6);
    let running = tokio::spawn(worker.run(stop.clone()));
    while recorded.load(Ordering::SeqCst) < 40 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    running.await.unwrap();
    most.load(Ordering::SeqCst)
}

#[tokio::test]
async fn rows_are_claimed_ahead_of_fast_calls_and_no_more_than_allowed() {
    assert_eq!(most_claimed(Duration::ZERO).await, 8);
}

#[tokio::test]
async fn no_row_waits_for_a_slow_call() {
    assert_eq!(most_claimed(Duration::from_millis(120)).await, 2);
}
