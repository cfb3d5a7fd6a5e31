//! Detects a client that cannot find a Kafka that other clients reach.
//!
//! librdkafka 2.12 forgets every broker when a metadata response names none, and finds none again
//! (confluentinc/librdkafka#5301). A broker that was frozen until the controller fenced it sends such a response. Only a
//! new client helps. A request with another client shows whether the client or Kafka is the cause.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tokio::task::JoinHandle;

use crate::kafka::KafkaError;
use crate::reader::{self, Reader};
use crate::settings::Settings;

/// The interval of the requests with another client while the client fails.
const EVERY: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The client is stale after Kafka has answered another client this many times in a row, and not this one.
const ANSWERS: u32 = 2;

pub(crate) struct StaleClient {
    settings: Settings,
    asked: Instant,
    asking: Option<JoinHandle<bool>>,
    answered: u32,
}

impl StaleClient {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, asked: Instant::now(), asking: None, answered: 0 }
    }

    /// Notes that Kafka has answered this client, or another one with the same settings: login and protocol are right, whatever
    /// Kafka said to a client with an older password.
    pub(crate) fn reached(&mut self) {
        (self.asking, self.answered) = (None, 0);
        self.settings.connection.clear();
    }

    /// Notes that the client has not reached Kafka. `true`: the client is stale and must be replaced; the count begins again
    /// for the next one.
    pub(crate) async fn missed(&mut self) -> bool {
        if self.asked.elapsed() < EVERY {
            return false;
        }
        if let Some(answer) = self.asking.take_if(|asking| asking.is_finished()) {
            self.answered = if answer.await.unwrap_or_default() { self.answered + 1 } else { 0 };
        }
        if self.answered >= ANSWERS {
            self.reached();
            return true;
        }
        if self.asking.is_none() {
            self.asked = Instant::now();
            self.asking = Some(tokio::spawn(answers(self.settings.clone())));
        }
        false
    }
}

/// Returns whether Kafka answers a new client and names a broker.
async fn answers(settings: Settings) -> bool {
    let asked = reader::blocking(move || {
        let metadata = Reader::new(&settings, &[])?.client().fetch_metadata(None, TIMEOUT)?;
        Ok::<_, KafkaError>(!metadata.brokers().is_empty())
    });
    matches!(asked.await, Some(Ok(true)))
}
