//! The relay: moves rows from the outbox to Kafka, and sends row n+1 of a key only after row n is acknowledged and gone.
//!
//! So the first appearance of each event is in commit order per key with any number of relays, whatever times out or is
//! frozen; what comes late is a repetition. A lease only saves work. Rows in flight stay in memory as [`InFlight`]; the
//! loop selects what it does not hold, sends the front of each chain, and deletes what was acknowledged.

pub(crate) mod depth;
mod in_flight;
mod late;
mod refusals;
mod rows;
mod tick;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::in_flight::InFlight;
use self::late::Late;
use self::refusals::Outages;
use crate::backoff::Backoff;
use crate::kafka;
use crate::lease::Lease;
use crate::producer::{Acknowledgement, Producer};
use crate::republish::Compacted;
use crate::settings::Settings;
use crate::stale_client::StaleClient;
use crate::topics::TopicsError;
use crate::tx::Outbox;

/// The longest wait before the outbox is looked at unasked, for rows that another instance wrote.
const SLOWEST_POLL: Duration = Duration::from_millis(200);
const FASTEST_POLL: Duration = Duration::from_millis(5);
/// How long an instance that does not lead waits before it asks for the lease again.
const STANDBY: Duration = Duration::from_millis(500);
/// How long shutdown waits for the turn that is running, for acknowledgements, and for the database to note them.
const LAST_TURN: Duration = Duration::from_secs(1);
const FLUSH: Duration = Duration::from_secs(2);
const LAST_NOTES: Duration = Duration::from_secs(1);

/// What the relay tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// This instance relays; another one does when it does not.
    pub leading: bool,
    /// Why rows wait that Kafka does not take: the topics it refuses, or that it cannot be reached.
    pub refused: Option<String>,
    /// The same row has been the oldest of the outbox for half a minute, whatever the cause.
    pub stalled: bool,
}

/// Publishes what is in the outbox; every instance runs one, one of them leads.
pub struct Relay {
    settings: Settings,
    outbox: Outbox,
    compacted: Vec<Arc<dyn Compacted>>,
    status: watch::Sender<RelayStatus>,
    lease: Lease,
    in_flight: InFlight,
    outages: Outages,
    late: Late,
    /// Acknowledged by Kafka, not yet deleted.
    delivered: Vec<i64>,
    acknowledgements: mpsc::UnboundedReceiver<Acknowledgement>,
    sender: mpsc::UnboundedSender<Acknowledgement>,
    stale_client: StaleClient,
    /// The producer does not find a Kafka that is there.
    is_stranded: bool,
    poll: Duration,
    look_at: Instant,
}

impl Relay {
    /// A relay for `outbox`; `compacted` are the topics whose state this service can publish again.
    pub fn new(settings: Settings, outbox: Outbox, compacted: Vec<Arc<dyn Compacted>>) -> Self {
        let (sender, acknowledgements) = mpsc::unbounded_channel();
        Self {
            stale_client: StaleClient::new(settings.clone()),
            is_stranded: false,
            lease: Lease::new("relay", settings.instance.as_deref()),
            settings,
            outbox,
            compacted,
            status: watch::Sender::default(),
            in_flight: InFlight::default(),
            outages: Outages::default(),
            late: Late::default(),
            delivered: Vec::new(),
            acknowledgements,
            sender,
            poll: FASTEST_POLL,
            look_at: Instant::now(),
        }
    }

    /// Follows what the relay tells of itself.
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Runs until `stop`; waits out whatever Kafka and Postgres do meanwhile.
    pub async fn run(self, stop: CancellationToken) -> Result<(), TopicsError> {
        self.run_once(std::future::ready(true), stop).await
    }

    /// Runs like [`run`](Self::run), and publishes once `allowed` has said yes. The outbox is counted from the start, so that
    /// its limit holds.
    pub async fn run_once(
        mut self,
        allowed: impl Future<Output = bool>,
        stop: CancellationToken,
    ) -> Result<(), TopicsError> {
        let counting = tokio::spawn(depth::keep(self.outbox.clone(), self.status.clone(), stop.clone()));
        if !allowed.await {
            counting.abort();
            return Ok(());
        }
        let mut producer = self.producer()?;
        let mut outage = None;
        while !stop.is_cancelled() {
            if let Some((code, text)) = producer.fatal_error() {
                tracing::error!(%code, text, "the Kafka producer cannot go on; building a new one");
                self.replace(&mut producer)?;
            } else if std::mem::take(&mut self.is_stranded) {
                tracing::warn!("Kafka answers, but not the producer any more; building a new one");
                self.replace(&mut producer)?;
            }
            let turn = tokio::select! {
                turn = self.turn(&producer, &stop) => turn,
                // It waits for a database that does not answer.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_TURN).await } => break,
            };
            match turn {
                Ok(()) if outage.take().is_some() => tracing::info!("the outbox can be read again"),
                Ok(()) => {}
                Err(error) => {
                    let pause = backoff(&mut outage, &error).pause();
                    let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
        counting.abort();
        self.finish(producer).await;
        Ok(())
    }

    fn producer(&self) -> Result<Producer, TopicsError> {
        let brokers = self.settings.brokers.clone();
        Producer::new(&self.settings, self.sender.clone())
            .map_err(|error: KafkaError| TopicsError::Unreachable { brokers, error })
    }

    /// What the old one had in flight is refused when it goes, and sent again.
    fn replace(&mut self, producer: &mut Producer) -> Result<(), TopicsError> {
        let old = std::mem::replace(producer, self.producer()?);
        self.late.expect(self.in_flight.sent().cloned());
        std::thread::spawn(move || drop(old));
        Ok(())
    }

    /// Takes or renews the lease when it is time to; tells whether this instance leads.
    async fn lead(&mut self) -> sqlx::Result<bool> {
        let leading = self.lease.hold(self.outbox.pool()).await?;
        let changed =
            self.status.send_if_modified(|status| std::mem::replace(&mut status.leading, leading) != leading);
        if changed {
            tracing::debug!(leading, "relay lease");
            // What another relay did meanwhile is not known: start from what the outbox says.
            self.in_flight.forget_waiting();
            self.outages.clear();
            self.report();
            self.look_at = Instant::now();
        }
        Ok(leading)
    }

    /// Lets what is in flight arrive, and gives the lease back.
    async fn finish(mut self, producer: Producer) {
        let flush = kafka::blocking(move || producer.flush(FLUSH));
        // The flush is bounded; dropping the producer, which comes with it, is not.
        let flushed = tokio::time::timeout(FLUSH + LAST_NOTES, flush).await;
        if !matches!(flushed, Ok(Some(Ok(())))) {
            tracing::warn!("Kafka did not acknowledge everything in time; the rest stays in the outbox");
        }
        while let Ok(news) = self.acknowledgements.try_recv() {
            self.delivered.extend(news.result.is_ok().then_some(news.id));
        }
        let notes = async {
            if let Err(error) = rows::delete(self.outbox.pool(), &self.delivered).await {
                tracing::warn!(%error, "what was just published stays in the outbox and goes again");
            }
            let _ = self.lease.release(self.outbox.pool()).await;
        };
        if tokio::time::timeout(LAST_NOTES, notes).await.is_err() {
            tracing::warn!("the database does not answer; what was just published goes again");
        }
    }
}

/// That of this outage, whose beginning is told once.
fn backoff<'a>(outage: &'a mut Option<Backoff>, error: &sqlx::Error) -> &'a mut Backoff {
    outage.get_or_insert_with(|| {
        tracing::warn!(%error, "the outbox cannot be read; tried until it can");
        Backoff::new()
    })
}
