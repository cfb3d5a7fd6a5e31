//! More orders than the system can process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, header};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, sleep_until};

use crate::Outcome;
use crate::target::Target;

/// The length of the load that finds the rate which the system processes.
const TRIAL: Duration = Duration::from_secs(10);
const TRIAL_CLIENTS: usize = 64;
/// The overload: so many times that rate, for this long, by at most this many connections, since a client may have 512.
const FACTOR: u32 = 5;
const LENGTH: Duration = Duration::from_mins(2);
const CLIENTS: usize = 450;
/// The time within which accepted orders are answered, and the time after the overload within which an order is again accepted and
/// answered as fast as before.
const ANSWERED: Duration = Duration::from_secs(2);
const RECOVERED: Duration = Duration::from_secs(10);
/// The bound of a service's memory, in MB; the containers' limit is 96 MB.
const MEMORY: f64 = 90.0;

/// The answers so far.
#[derive(Default)]
struct Answers {
    by_status: BTreeMap<u16, usize>,
    /// The slowest answer to an accepted order.
    slowest: Duration,
    /// Refusals without a `Retry-After`.
    without_retry: usize,
    /// Requests without an answer.
    lost: usize,
}

struct Shop {
    http: Client,
    url: String,
    answers: Mutex<Answers>,
}

impl Shop {
    async fn order(&self, number: usize) {
        let body = json!({"email": format!("overload-{number}@example.com"), "payment_method": "pm_card_visa",
                          "items": [{"sku": "MUG", "quantity": 1}]});
        let started = Instant::now();
        let post = self.http.post(&self.url).header("idempotency-key", format!("overload-{number}"));
        let answer = post.json(&body).send().await;
        let took = started.elapsed();
        let mut answers = self.answers.lock().await;
        let Ok(answer) = answer else {
            answers.lost += 1;
            return;
        };
        *answers.by_status.entry(answer.status().as_u16()).or_default() += 1;
        if answer.status() == StatusCode::ACCEPTED {
            answers.slowest = answers.slowest.max(took);
        } else if !answer.headers().contains_key(header::RETRY_AFTER) {
            answers.without_retry += 1;
        }
    }
}

pub(crate) async fn overload(target: &Target) -> Outcome {
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let url = format!("{}/orders", target.shop.system.url("order"));
    let shop = Arc::new(Shop { http, url, answers: Mutex::default() });
    let rate = FACTOR * processed_per_second(target, &shop).await;
    *shop.answers.lock().await = Answers::default();
    let (started, clients) = (Instant::now(), Arc::new(Semaphore::new(CLIENTS)));
    let (mut memory, mut number): (f64, u32) = (0.0, 0);
    while started.elapsed() < LENGTH {
        sleep_until((started + Duration::from_secs(1) * number / rate).into()).await;
        let Ok(permit) = Arc::clone(&clients).acquire_owned().await else { break };
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            shop.order(number as usize).await;
            drop(permit);
        });
        number += 1;
        if number.is_multiple_of(rate) {
            for service in target.shop.system.services() {
                memory = memory.max(target.shop.memory(service).await);
            }
        }
    }
    let (ended, mut number) = (Instant::now(), 2_000_000);
    while !is_as_before(&shop, number).await && ended.elapsed() < 3 * RECOVERED {
        number += 1;
        sleep(Duration::from_millis(100)).await;
    }
    let recovery = ended.elapsed();
    let answers = shop.answers.lock().await;
    let found = format!(
        "{rate} per second: {:?}, {} without an answer, {} refusals without Retry-After; accepted within {:.1} s; at most {memory:.0} MB; recovered after {:.1} s",
        answers.by_status,
        answers.lost,
        answers.without_retry,
        answers.slowest.as_secs_f64(),
        recovery.as_secs_f64()
    );
    let is_answered = answers.lost == 0 && answers.without_retry == 0 && answers.slowest <= ANSWERED;
    let only_known = answers.by_status.keys().all(|status| [202, 429, 503].contains(status));
    Outcome { found, held: is_answered && only_known && recovery <= RECOVERED && memory < MEMORY }
}

/// Loads the shop for some seconds, and returns how many orders per second it processes until the last one is confirmed.
async fn processed_per_second(target: &Target, shop: &Arc<Shop>) -> u32 {
    let (started, number) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let clients = (0..TRIAL_CLIENTS).map(|_| {
        let (shop, number) = (Arc::clone(shop), Arc::clone(&number));
        async move {
            while started.elapsed() < TRIAL {
                shop.order(1_000_000 + number.fetch_add(1, Ordering::Relaxed)).await;
            }
        }
    });
    futures::future::join_all(clients).await;
    target.shop.system.quiesce().await.expect("the system becomes idle");
    let accepted = shop.answers.lock().await.by_status.get(&202).copied().unwrap_or_default();
    let per_second = accepted as u128 * 1000 / started.elapsed().as_millis().max(1);
    u32::try_from(per_second).unwrap_or(u32::MAX).max(1)
}

/// Whether an order is accepted, and answered within a tenth of the time that an overloaded system may take.
async fn is_as_before(shop: &Shop, number: usize) -> bool {
    let started = Instant::now();
    let before = shop.answers.lock().await.by_status.get(&202).copied();
    shop.order(number).await;
    let after = shop.answers.lock().await.by_status.get(&202).copied();
    after > before && started.elapsed() < ANSWERED / 10
}
