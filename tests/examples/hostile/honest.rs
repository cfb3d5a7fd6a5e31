//! An honest client: asks once in a while over a connection that it keeps, and notes how long each answer took.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::target::Target;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the answers took.
#[derive(Default)]
pub(crate) struct Latency {
    times: Vec<Duration>,
    /// Requests that were not answered as they should be.
    pub(crate) failed: usize,
}

impl Latency {
    pub(crate) fn p99(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).or(times.last()).copied().unwrap_or(Duration::MAX)
    }

    pub(crate) fn count(&self) -> usize {
        self.times.len() + self.failed
    }
}

/// Asks `service` for as long as `meanwhile` runs.
pub(crate) async fn watch<T>(
    target: &Target,
    service: &str,
    meanwhile: impl Future<Output = T>,
) -> (Latency, T) {
    let mut latency = Latency::default();
    let asking = async {
        loop {
            let started = Instant::now();
            if ask(target, service).await {
                latency.times.push(started.elapsed());
            } else {
                latency.failed += 1;
            }
            sleep(PAUSE).await;
        }
    };
    let outcome = tokio::select! {
        outcome = meanwhile => outcome,
        never = asking => never,
    };
    (latency, outcome)
}

/// A request that needs the service and its database.
async fn ask(target: &Target, service: &str) -> bool {
    let (path, expected) = match service {
        "order" => ("/orders/01920000-0000-7000-8000-000000000001", 404),
        "inventory" => ("/products/MUG", 200),
        "payment" => ("/payments/01920000-0000-7000-8000-000000000001", 404),
        "notification" => ("/reports/notify-me", 200),
        other => panic!("no honest client knows {other}"),
    };
    let get = target.http.get(format!("{}{path}", target.system.url(service)));
    let answer = get.bearer_auth(target.system.admin_token()).send().await;
    answer.is_ok_and(|answer| answer.status() == expected)
}
