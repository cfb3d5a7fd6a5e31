//! Load on `POST /orders`: closed loop (each connection sends its next request when the last is answered) or open loop
//! (requests are due at a fixed rate, and their latency counts from the time at which they were due, so that a system
//! that stalls cannot hide it: "coordinated omission").

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use uuid::Uuid;

use crate::client::Client;

/// The number of products that orders choose from.
pub(crate) const PRODUCTS: usize = 1000;
/// The connections of a closed loop.
const CONNECTIONS: usize = 64;
/// The most requests in flight of an open loop.
const IN_FLIGHT: usize = 256;

#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// As fast as 64 connections go.
    Closed,
    /// So many requests per second.
    Open(f64),
}

#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The order's id; `None` when the order was not accepted.
    pub accepted: Option<Uuid>,
    /// The time at which the request was due.
    pub due: SystemTime,
    /// The time from then until the answer.
    pub latency: Duration,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub accepted: Vec<Answer>,
    /// The number of requests that were not accepted.
    pub refused: u64,
    /// The time until the last answer.
    pub took: Duration,
}

impl Outcome {
    /// Accepted orders per second.
    pub fn per_second(&self) -> f64 {
        self.accepted.len() as f64 / self.took.as_secs_f64()
    }
}

/// A function that is called with each answer, while the load runs.
pub type Observer = Arc<dyn Fn(&Answer) + Send + Sync>;

/// Loads the order service at `address` (`host:port`) for `length`.
pub async fn run(address: &str, rate: Rate, length: Duration) -> Outcome {
    let ignore: Observer = Arc::new(|_| ());
    run_observed(address, rate, length, &ignore).await
}

/// Loads the order service as [`run`] does, and calls `observe` with each answer.
pub async fn run_observed(address: &str, rate: Rate, length: Duration, observe: &Observer) -> Outcome {
    let (workers, interval) = match rate {
        Rate::Closed => (CONNECTIONS, None),
        Rate::Open(rate) => (IN_FLIGHT, Some(1.0 / rate)),
    };
    let (start, clock, next) = (Instant::now(), SystemTime::now(), Arc::new(AtomicU64::new(0)));
    let work = |_| {
        let schedule = Schedule { start, clock, end: start + length, interval, next: Arc::clone(&next) };
        tokio::spawn(work(Client::new(address), schedule, Arc::clone(observe)))
    };
    let workers: Vec<_> = (0..workers).map(work).collect();
    let mut outcome = Outcome::default();
    for worker in workers {
        let (accepted, refused): (Vec<_>, Vec<_>) =
            worker.await.unwrap_or_default().into_iter().partition(|answer| answer.accepted.is_some());
        outcome.accepted.extend(accepted);
        outcome.refused += refused.len() as u64;
    }
    outcome.took = start.elapsed();
    outcome
}

/// The times at which requests are due.
struct Schedule {
    start: Instant,
    clock: SystemTime,
    end: Instant,
    /// Seconds between two requests; `None` in a closed loop.
    interval: Option<f64>,
    next: Arc<AtomicU64>,
}

impl Schedule {
    /// Waits until the next request is due and returns its time; `None` when the load is over.
    async fn next(&self) -> Option<Instant> {
        let due = match self.interval {
            None => Instant::now(),
            Some(interval) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.start + Duration::from_secs_f64(number as f64 * interval)
            }
        };
        if due >= self.end {
            return None;
        }
        tokio::time::sleep_until(due.into()).await;
        Some(due)
    }
}

async fn work(mut client: Client, schedule: Schedule, observe: Observer) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(due) = schedule.next().await {
        let answer = client.post("/orders", order()).await;
        let latency = due.elapsed();
        let body = answer.ok().filter(|(status, _)| status.is_success());
        let id =
            body.and_then(|(_, body)| serde_json::from_slice::<Placed>(&body).ok()).map(|placed| placed.id);
        let answer = Answer { accepted: id, due: schedule.clock + (due - schedule.start), latency };
        observe(&answer);
        answers.push(answer);
    }
    answers
}

/// The body of an order: two of the products, for a new customer.
fn order() -> String {
    let id = Uuid::new_v4();
    let (first, second) = id.as_u64_pair();
    let product = |number: u64| usize::try_from(number % PRODUCTS as u64).unwrap_or(0);
    // Two different products: an order names each product once.
    let (first, second) = (product(first), product(second >> 2));
    let second = if first == second { (second + 1) % PRODUCTS } else { second };
    format!(
        r#"{{"email":"bench-{}@example.com","items":[{{"sku":"sku-{first}","quantity":1}},{{"sku":"sku-{second}","quantity":2}}],"payment_method":"pm_card_visa"}}"#,
        id.simple()
    )
}

#[derive(Deserialize)]
struct Placed {
    id: Uuid,
}
