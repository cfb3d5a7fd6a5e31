//! Notices a client that does not find a Kafka that is there.
//!
//! librdkafka 2.12 forgets every broker when an answer names none, as a broker's does that stood still for so long that
//! the controller has fenced it, and finds none again (confluentinc/librdkafka#5301). Only a new client helps. Whether it
//! is the client or Kafka is told by asking with another one.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use tokio::task::JoinHandle;

use crate::kafka;
use crate::settings::Settings;

/// How often one failure after another is looked into.
const EVERY: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(2);
/// So often in a row Kafka has answered another client, and not ours.
const OFTEN: u32 = 2;

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

    /// The client has reached Kafka.
    pub(crate) fn reached(&mut self) {
        (self.asking, self.answered) = (None, 0);
    }

    /// The client has failed to. `true`: it will never again; the next one is judged anew.
    pub(crate) async fn missed(&mut self) -> bool {
        if self.asked.elapsed() < EVERY {
            return false;
        }
        if let Some(answer) = self.asking.take_if(|asking| asking.is_finished()) {
            self.answered = if answer.await.unwrap_or_default() { self.answered + 1 } else { 0 };
        }
        if self.answered >= OFTEN {
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

/// Kafka answers a client that was just made, and names a broker.
async fn answers(settings: Settings) -> bool {
    let asked = kafka::blocking(move || {
        let metadata = kafka::reader(&settings)?.fetch_metadata(None, TIMEOUT)?;
        KafkaResult::Ok(!metadata.brokers().is_empty())
    });
    matches!(asked.await, Some(Ok(true)))
}
