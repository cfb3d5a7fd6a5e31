//! The relay: moves rows from the outbox to Kafka, and sends row n+1 of a key only after row n is acknowledged and gone.
//!
//! So the first appearance of each event is in commit order per key with any number of relays, whatever times out or is
//! frozen; what comes late is a repetition. A lease only saves work. Rows in flight stay in memory as [`Chains`]; the
//! loop selects what it does not hold, sends the front of each chain, and deletes what was acknowledged.

mod chains;
mod depth;
mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use envelope::Cleanup;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::chains::Chains;
use crate::lease::Lease;
use crate::producer::{Acknowledgement, Producer};
use crate::republish::{self, Compacted};
use crate::settings::Settings;
use crate::tx::Outbox;
use crate::{pause, topics::TopicsError};

/// The longest wait before the outbox is looked at unasked, for rows that another instance wrote.
const SLOWEST_POLL: Duration = Duration::from_millis(200);
const FASTEST_POLL: Duration = Duration::from_millis(5);
/// How long an instance that does not lead waits before it asks for the lease again.
const STANDBY: Duration = Duration::from_millis(500);
/// How long shutdown waits for acknowledgements.
const FLUSH: Duration = Duration::from_secs(3);

/// What the relay tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// This instance relays; another one does when it does not.
    pub leading: bool,
    /// Kafka's last refusal, while rows wait because of it.
    pub refused: Option<String>,
}

/// Publishes what is in the outbox; every instance runs one, one of them leads.
pub struct Relay {
    settings: Settings,
    outbox: Outbox,
    compacted: Vec<Arc<dyn Compacted>>,
    status: watch::Sender<RelayStatus>,
    lease: Lease,
    chains: Chains,
    /// Acknowledged by Kafka, not yet deleted.
    delivered: Vec<i64>,
    acknowledgements: mpsc::UnboundedReceiver<Acknowledgement>,
    sender: mpsc::UnboundedSender<Acknowledgement>,
    poll: Duration,
    look_at: Instant,
}

impl Relay {
    /// A relay for `outbox`; `compacted` are the topics whose state this service can publish again.
    pub fn new(settings: Settings, outbox: Outbox, compacted: Vec<Arc<dyn Compacted>>) -> Self {
        let (sender, acknowledgements) = mpsc::unbounded_channel();
        Self {
            settings,
            outbox,
            compacted,
            status: watch::Sender::default(),
            lease: Lease::new("relay"),
            chains: Chains::default(),
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
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), TopicsError> {
        let unreachable = |settings: &Settings, error| TopicsError::Unreachable {
            brokers: settings.brokers.clone(),
            error,
        };
        let depth = tokio::spawn(depth::keep(self.outbox.clone(), stop.clone()));
        let mut producer = Producer::new(&self.settings, self.sender.clone())
            .map_err(|error| unreachable(&self.settings, error))?;
        let mut outage = patience();
        while !stop.is_cancelled() {
            if let Some((code, text)) = producer.fatal_error() {
                tracing::error!(%code, text, "the Kafka producer cannot go on; building a new one");
                producer = Producer::new(&self.settings, self.sender.clone())
                    .map_err(|error| unreachable(&self.settings, error))?;
            }
            match self.step(&producer, &stop).await {
                Ok(()) => outage = patience(),
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read; trying again");
                    let pause = outage.next().unwrap_or(SLOWEST_POLL);
                    let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
        self.finish(producer).await;
        let _ = depth.await;
        Ok(())
    }

    /// One turn: hold the lease, fetch rows, send what may go, wait for news, settle it.
    async fn step(&mut self, producer: &Producer, stop: &CancellationToken) -> sqlx::Result<()> {
        if !self.lead().await? {
            let _ = stop.run_until_cancelled(tokio::time::sleep(STANDBY)).await;
            return Ok(());
        }
        if Instant::now() >= self.look_at {
            self.fetch().await?;
        }
        self.send(producer);
        let news = self.wait(stop).await;
        self.settle(news).await
    }

    async fn lead(&mut self) -> sqlx::Result<bool> {
        let leading = self.lease.hold(self.outbox.pool()).await?;
        let changed =
            self.status.send_if_modified(|status| std::mem::replace(&mut status.leading, leading) != leading);
        if changed {
            tracing::debug!(leading, "relay lease");
            // What another relay did meanwhile is not known: start from what the outbox says.
            self.chains.forget_waiting();
            self.look_at = Instant::now();
        }
        Ok(leading)
    }

    /// Adds rows that are not held yet, and decides when to look again.
    async fn fetch(&mut self) -> sqlx::Result<()> {
        let rows = rows::select(self.outbox.pool(), &self.chains).await?;
        self.poll = if rows.is_empty() { (self.poll * 2).min(SLOWEST_POLL) } else { FASTEST_POLL };
        let more = rows.len() >= rows::LIMIT;
        self.look_at = Instant::now() + if more { Duration::ZERO } else { self.poll };
        for (id, row) in rows {
            self.chains.push(id, row);
        }
        Ok(())
    }

    /// Sends the front of each chain that may go. The lease is looked at last, just before: a relay that was frozen
    /// since must not send.
    fn send(&mut self, producer: &Producer) {
        for id in self.chains.ready(Instant::now()) {
            if !self.lease.held() {
                return;
            }
            if let Some(row) = self.chains.send(id) {
                producer.send(id, &self.settings.topic_name(&row.topic), row);
            }
        }
    }

    /// Waits for an acknowledgement, a commit, or the next look; returns the acknowledgements that are there.
    async fn wait(&mut self, stop: &CancellationToken) -> Vec<Acknowledgement> {
        let mut news = Vec::new();
        let full = self.chains.is_full();
        let until = tokio::time::Instant::from_std(
            self.chains.next_retry().map_or(self.look_at, |at| if full { at } else { at.min(self.look_at) }),
        );
        tokio::select! {
            () = stop.cancelled() => {}
            _ = self.acknowledgements.recv_many(&mut news, rows::LIMIT) => {}
            () = self.outbox.woken(), if !full => self.look_at = Instant::now(),
            () = tokio::time::sleep_until(until), if !full || self.chains.next_retry().is_some() => {}
            // A full relay still renews its lease.
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        news
    }

    /// Deletes what Kafka has, and lets the next row of each key go; a refused row waits, its key behind it.
    async fn settle(&mut self, news: Vec<Acknowledgement>) -> sqlx::Result<()> {
        for Acknowledgement { id, result } in news {
            match result {
                Ok(()) => self.delivered.push(id),
                Err(error) => self.refused(id, &error.to_string()),
            }
        }
        if self.delivered.is_empty() {
            return Ok(());
        }
        pause::at("relay.acknowledged").await;
        // When this fails they stay in `delivered`, and held: the next turn deletes them, none goes again.
        let deleted = rows::delete(self.outbox.pool(), &self.delivered).await?;
        self.status.send_if_modified(|status| status.refused.take().is_some());
        for id in std::mem::take(&mut self.delivered) {
            let Some(row) = self.chains.finish(id) else {
                continue;
            };
            metrics::counter!("relay_published_total", "topic" => row.topic.clone()).increment(1);
            if deleted.binary_search(&id).is_err() {
                tracing::warn!(topic = row.topic, "an event was published twice: another relay was faster");
                self.repair(&row.topic, row.key.as_deref()).await;
            }
        }
        Ok(())
    }

    fn refused(&mut self, id: i64, error: &str) {
        if let Some((row, pause)) = self.chains.refuse(id) {
            tracing::error!(topic = row.topic, error, ?pause, "Kafka did not take an event; its key waits");
            self.status.send_if_modified(|status| {
                status.refused.replace(error.to_owned()).as_deref() != Some(error)
            });
        }
    }

    /// Our late repetition may now be the last record of its key; on a compacted topic the state must be.
    async fn repair(&self, topic: &str, key: Option<&[u8]>) {
        let owner = self.compacted.iter().find(|owner| owner.topic().name == topic);
        let key = key.and_then(|key| std::str::from_utf8(key).ok());
        if let (Some(owner), Some(key)) = (owner, key)
            && owner.topic().cleanup == Cleanup::Compact
            && let Err(error) = republish::one(&self.outbox, owner.as_ref(), key).await
        {
            tracing::error!(
                topic,
                %error,
                "the state of a key could not be published again; the daily republish will"
            );
        }
    }

    /// Lets what is in flight arrive, and gives the lease back.
    async fn finish(mut self, producer: Producer) {
        let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("Kafka did not acknowledge everything in time; the rest stays in the outbox");
        }
        while let Ok(news) = self.acknowledgements.try_recv() {
            self.delivered.extend(news.result.is_ok().then_some(news.id));
        }
        if let Err(error) = rows::delete(self.outbox.pool(), &self.delivered).await {
            tracing::warn!(%error, "what was just published stays in the outbox and goes again");
        }
        let _ = self.lease.release(self.outbox.pool()).await;
    }
}

fn patience() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}
