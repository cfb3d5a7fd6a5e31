//! The relay: moves rows from the outbox to Kafka, and sends row n+1 of a key only after row n is acknowledged and deleted.
//!
//! So the first appearance of each event is in commit order per key with any number of relays, whatever times out or is
//! frozen; a late record is a repetition. The lease only saves work. The relay holds rows in memory as [`InFlight`]: it
//! selects rows that it does not hold, sends the first row of each key, and deletes acknowledged rows.

mod depth;
mod in_flight;
mod late;
mod refusals;
mod rows;
mod tick;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::in_flight::InFlight;
use self::late::Late;
use self::refusals::{Fatal, Outages};
use crate::compacted::Compacted;
use crate::kafka::KafkaError;
use crate::lease::Lease;
use crate::pace::Pace;
use crate::policy::{Backoff, Pauses};
use crate::producer::{Acknowledgement, Producer};
use crate::reader;
use crate::settings::Settings;
use crate::stale_client::StaleClient;
use crate::tx::Outbox;

/// The bounds of the pause between two looks at the outbox for rows that other instances wrote.
const SLOWEST_POLL: Duration = Duration::from_millis(200);
const FASTEST_POLL: Duration = Duration::from_millis(5);
/// How long acknowledged rows may wait for others to be deleted in the same statement. A relay that takes over meanwhile
/// publishes them again.
const DELETE_INTERVAL: Duration = Duration::from_millis(20);
/// The pause before an instance that does not lead asks for the lease again.
const STANDBY: Duration = Duration::from_millis(500);
/// How long shutdown waits for the running tick, for acknowledgements, and for the database to delete acknowledged rows.
const LAST_TICK: Duration = Duration::from_secs(1);
const FLUSH: Duration = Duration::from_secs(2);
const LAST_DELETE: Duration = Duration::from_secs(1);

/// The state of a relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// Whether this instance publishes; otherwise another one does.
    pub leading: bool,
    /// The reason why Kafka does not take waiting rows: the topics that it refuses, or that it cannot be reached.
    pub refused: Option<String>,
    /// Whether one row has been the oldest of the outbox for half a minute, whatever the cause.
    pub stalled: bool,
}

/// Publishes the rows of the outbox. Every instance runs a relay, and one of them leads.
pub struct Relay {
    settings: Settings,
    outbox: Outbox,
    compacted: Vec<Arc<dyn Compacted>>,
    status: watch::Sender<RelayStatus>,
    lease: Lease,
    in_flight: InFlight,
    outages: Outages,
    fatal: Fatal,
    late: Late,
    /// Rows that Kafka acknowledged and that are not deleted yet.
    acknowledged: Vec<i64>,
    acknowledgements: mpsc::UnboundedReceiver<Acknowledgement>,
    sender: mpsc::UnboundedSender<Acknowledgement>,
    stale_client: StaleClient,
    /// The producer cannot find a Kafka that other clients reach.
    is_producer_stale: bool,
    poll: Duration,
    next_fetch: Instant,
    pace: Pace,
    /// The next fetch follows a commit of this process.
    is_woken: bool,
    /// The time of the next delete, unless a row waits for it.
    next_delete: Instant,
}

impl Relay {
    /// Returns a relay for `outbox`. `compacted` are the topics whose state this service can publish again.
    pub fn new(settings: Settings, outbox: Outbox, compacted: Vec<Arc<dyn Compacted>>) -> Self {
        let (sender, acknowledgements) = mpsc::unbounded_channel();
        Self {
            stale_client: StaleClient::new(settings.clone()),
            is_producer_stale: false,
            lease: Lease::new(Lease::RELAY, settings.instance.as_deref()),
            settings,
            outbox,
            compacted,
            status: watch::Sender::default(),
            in_flight: InFlight::default(),
            outages: Outages::default(),
            fatal: Fatal::default(),
            late: Late::default(),
            acknowledged: Vec::new(),
            acknowledgements,
            sender,
            poll: FASTEST_POLL,
            next_fetch: Instant::now(),
            pace: Pace::default(),
            is_woken: false,
            next_delete: Instant::now(),
        }
    }

    /// Returns a receiver of the relay's state.
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Publishes until `stop`; retries through every outage of Kafka and Postgres.
    pub async fn run(self, stop: CancellationToken) -> Result<(), KafkaError> {
        self.run_when(std::future::ready(true), stop).await
    }

    /// Runs like [`run`](Self::run), but publishes only after `allowed` has returned `true`. The outbox is counted from the
    /// start, so that its limit holds.
    pub async fn run_when(
        mut self,
        allowed: impl Future<Output = bool>,
        stop: CancellationToken,
    ) -> Result<(), KafkaError> {
        let counting = depth::watch(self.outbox.clone(), self.status.clone(), stop.clone());
        let _counting = AbortOnDropHandle::new(tokio::spawn(counting));
        if !allowed.await {
            return Ok(());
        }
        let mut producer = self.producer()?;
        let mut outage = None;
        while !stop.is_cancelled() {
            if let Some(error) = producer.fatal_error() {
                if self.fatal.note(&KafkaError::from(error), &self.settings) {
                    self.replace(&mut producer)?;
                }
            } else if std::mem::take(&mut self.is_producer_stale) {
                tracing::warn!("Kafka answers other clients but not the producer; creating a new one");
                self.replace(&mut producer)?;
            }
            let ticked = tokio::select! {
                ticked = self.tick(&producer, &stop) => ticked,
                // The tick waits for a database that does not answer.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_TICK).await } => break,
            };
            match ticked {
                Ok(()) if outage.take().is_some() => tracing::info!("the outbox can be read again"),
                Ok(()) => {}
                Err(error) => {
                    let pause = backoff(&mut outage, &error).pause();
                    let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
        self.finish(producer).await;
        Ok(())
    }

    fn producer(&self) -> Result<Producer, KafkaError> {
        Ok(Producer::new(&self.settings, self.sender.clone())?)
    }

    /// Replaces the producer. Its drop refuses the rows that it has in flight, and the new producer sends them again.
    fn replace(&mut self, producer: &mut Producer) -> Result<(), KafkaError> {
        let old = std::mem::replace(producer, self.producer()?);
        self.late.expect(self.in_flight.sent().cloned());
        std::thread::spawn(move || drop(old));
        Ok(())
    }

    /// Takes or renews the lease when it is due, and returns whether this instance leads.
    async fn lead(&mut self) -> sqlx::Result<bool> {
        let leading = self.lease.hold(self.outbox.pool()).await?;
        let changed =
            self.status.send_if_modified(|status| std::mem::replace(&mut status.leading, leading) != leading);
        if changed {
            tracing::debug!(leading, "relay lease");
            // Another relay may have published rows that wait here, so the outbox is read from the start.
            self.in_flight.forget_waiting();
            self.outages.clear();
            self.report_outages();
            self.next_fetch = Instant::now();
        }
        Ok(leading)
    }

    /// Waits for acknowledgements of the rows in flight, and gives the lease back.
    async fn finish(mut self, producer: Producer) {
        let flush = reader::blocking(move || producer.flush(FLUSH));
        // The flush is bounded; the drop of the producer, which happens in the same call, is not.
        let flushed = tokio::time::timeout(FLUSH + LAST_DELETE, flush).await;
        if !matches!(flushed, Ok(Some(Ok(())))) {
            tracing::warn!("Kafka did not acknowledge everything in time; the rest stays in the outbox");
        }
        while let Ok(Acknowledgement { id, result }) = self.acknowledgements.try_recv() {
            self.acknowledged.extend(result.is_ok().then_some(id));
        }
        let deleting = async {
            if let Err(error) = rows::delete(self.outbox.pool(), &self.acknowledged).await {
                tracing::warn!(%error, "the last published events stay in the outbox and are published again");
            }
            let _ = self.lease.release(self.outbox.pool()).await;
        };
        if tokio::time::timeout(LAST_DELETE, deleting).await.is_err() {
            tracing::warn!("the database does not answer; the last published events are published again");
        }
    }
}

/// Returns the backoff of the current outage of the database, whose beginning is logged.
fn backoff<'a>(outage: &'a mut Option<Backoff>, error: &sqlx::Error) -> &'a mut Backoff {
    outage.get_or_insert_with(|| {
        tracing::warn!(%error, "the outbox cannot be read; retrying until it can");
        Backoff::new(Pauses::default())
    })
}
