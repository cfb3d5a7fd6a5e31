//! An honest client, which sends a request every 10 ms over a kept-alive connection and measures the latency.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::target::Target;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// The time after which a request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The latencies of the answers.
#[derive(Default)]
pub(crate) struct Latency {
    times: Vec<Duration>,
    /// The number of requests without the expected answer.
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

/// Measures the latency of `service` while `meanwhile` runs, from another thread, so that the attackers in this process
/// do not delay the client.
pub(crate) async fn watch<T>(
    target: &Target,
    service: &str,
    meanwhile: impl Future<Output = T>,
) -> (Latency, T) {
    let stop = CancellationToken::new();
    let (client, until) = (Client::of(target, service), stop.clone());
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(client.ask_until(until)))
    });
    let outcome = meanwhile.await;
    stop.cancel();
    let latency = thread.join().expect("the honest client does not panic").expect("a runtime");
    (latency, outcome)
}

/// A client and its request, which needs the service and its database.
struct Client {
    url: String,
    token: String,
    expected: u16,
}

impl Client {
    fn of(target: &Target, service: &str) -> Self {
        let (path, expected) = match service {
            "order" => ("/orders/01920000-0000-7000-8000-000000000001", 404),
            "inventory" => ("/products/MUG", 200),
            "payment" => ("/payments/01920000-0000-7000-8000-000000000001", 404),
            "notification" => ("/reports/notify-me", 200),
            other => panic!("no honest client knows {other}"),
        };
        let system = &target.shop.system;
        Self {
            url: format!("{}{path}", system.url(service)),
            token: system.admin_token().to_owned(),
            expected,
        }
    }

    async fn ask_until(self, stop: CancellationToken) -> Latency {
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().expect("a client");
        let mut latency = Latency::default();
        while !stop.is_cancelled() {
            let started = Instant::now();
            let answer = http.get(&self.url).bearer_auth(&self.token).send().await;
            if answer.is_ok_and(|answer| answer.status() == self.expected) {
                latency.times.push(started.elapsed());
            } else {
                latency.failed += 1;
            }
            sleep(PAUSE).await;
        }
        latency
    }
}
