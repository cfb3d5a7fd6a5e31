//! One tick of the relay: renew the lease, fetch rows, send the first row of each key, and process acknowledgements.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use envelope::Cleanup;
use tokio_util::sync::CancellationToken;

use super::refusals::Refusal;
use super::{DELETE_INTERVAL, FASTEST_POLL, Relay, SLOWEST_POLL, STANDBY, rows};
use crate::compacted::republish_key;
use crate::pause;
use crate::producer::{Acknowledgement, Producer};

/// The longest wait of a tick: an idle relay still renews its lease.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Relay {
    pub(super) async fn tick(&mut self, producer: &Producer, stop: &CancellationToken) -> sqlx::Result<()> {
        let until = if self.lead().await? {
            // Rows that do not fit must stay in the outbox.
            if !self.in_flight.is_full() && Instant::now() >= self.next_fetch {
                self.fetch().await?;
            }
            self.send(producer).await?;
            self.next_tick()
        } else {
            // Acknowledgements of rows that it sent while it led still arrive.
            Instant::now() + STANDBY
        };
        let acknowledgements = self.wait(until, stop).await;
        self.acknowledge(acknowledgements).await?;
        while let Some((topic, key)) = self.late.due(Instant::now()) {
            self.republish_state(&topic, key.as_deref()).await;
        }
        Ok(())
    }

    /// Fetches rows that it does not hold yet, and decides when to fetch again.
    async fn fetch(&mut self) -> sqlx::Result<()> {
        let started = Instant::now();
        let rows = rows::select(self.outbox.pool(), &self.in_flight).await?;
        let more = rows.len() >= rows::LIMIT;
        self.pace.end(started, more);
        // The process announces its own commits; the pause is for rows that others wrote.
        if !std::mem::take(&mut self.is_woken) {
            self.poll = if rows.is_empty() { (self.poll * 2).min(SLOWEST_POLL) } else { FASTEST_POLL };
        }
        self.next_fetch = Instant::now() + if more { Duration::ZERO } else { self.poll };
        for (id, row) in rows {
            self.in_flight.push(id, row);
        }
        Ok(())
    }

    /// Sends the first row of each key that may be sent. The lease is checked right before each row, because a relay that
    /// was frozen meanwhile must not send.
    async fn send(&mut self, producer: &Producer) -> sqlx::Result<()> {
        self.drop_withdrawn().await?;
        let ready = self.in_flight.ready(Instant::now());
        if !ready.is_empty() {
            pause::at("relay.fetched").await;
        }
        for id in ready {
            if !self.lease.is_held() {
                return Ok(());
            }
            pause::at("relay.sending").await;
            if let Some(row) = self.in_flight.send(id) {
                producer.send(id, &self.settings.topic_name(&row.topic), row);
            }
        }
        Ok(())
    }

    /// Forgets refused rows that are no longer in the outbox: an event that was withdrawn while Kafka was away must not be
    /// published when Kafka is back.
    async fn drop_withdrawn(&mut self) -> sqlx::Result<()> {
        let again = self.in_flight.refused(&self.in_flight.ready(Instant::now()));
        if again.is_empty() {
            return Ok(());
        }
        let present = rows::present(self.outbox.pool(), &again).await?;
        for id in again.iter().filter(|id| !present.contains(id)) {
            self.in_flight.finish(*id);
        }
        self.forget_outages();
        Ok(())
    }

    /// Forgets the outages that stop no row any more.
    fn forget_outages(&mut self) {
        if !self.outages.is_empty() {
            self.outages.keep(&self.in_flight.refusals());
            self.report_outages();
        }
    }

    /// Returns when the next work is due that nothing announces.
    fn next_tick(&self) -> Instant {
        let fetch = if self.in_flight.is_full() { None } else { Some(self.next_fetch) };
        let longest = Instant::now() + LONGEST_WAIT;
        let delete = (!self.acknowledged.is_empty()).then_some(self.next_delete);
        let times = fetch.into_iter().chain(self.in_flight.next_retry()).chain(delete);
        times.min().map_or(longest, |at| at.min(longest))
    }

    /// Waits for an acknowledgement, a commit, or `until`, and returns the acknowledgements that have arrived.
    async fn wait(&mut self, until: Instant, stop: &CancellationToken) -> Vec<Acknowledgement> {
        let mut acknowledgements = Vec::new();
        let takes_more = self.lease.is_held() && !self.in_flight.is_full();
        tokio::select! {
            () = stop.cancelled() => {}
            _ = self.acknowledgements.recv_many(&mut acknowledgements, rows::LIMIT) => {}
            () = self.outbox.woken(), if takes_more => {
                (self.next_fetch, self.is_woken) = (self.pace.next(), true);
            }
            () = tokio::time::sleep_until(until.into()) => {}
        }
        acknowledgements
    }

    /// Deletes the rows that Kafka has, which lets the next row of each key go, and keeps refused rows with their keys.
    async fn acknowledge(&mut self, acknowledgements: Vec<Acknowledgement>) -> sqlx::Result<()> {
        let (mut refused, mut answered) = (Vec::new(), false);
        for Acknowledgement { id, result } in acknowledgements {
            match result {
                Ok(()) => {
                    answered = true;
                    self.fatal.clear();
                    self.acknowledged.push(id);
                }
                Err(error) => {
                    let Some(topic) = self.in_flight.topic(id) else { continue };
                    let ended = self.fatal.text();
                    let refusal = if ended.is_some() { Refusal::Ended } else { Refusal::of(topic, &error) };
                    let why = ended.cloned().unwrap_or_else(|| refusal.explain(&error, &self.settings));
                    answered |= matches!(refusal, Refusal::Topic(_) | Refusal::Unconfirmed);
                    refused.push((id, refusal, why));
                }
            }
        }
        if answered {
            self.stale_client.reached();
        } else if (!refused.is_empty() || self.is_idle_and_refused()) && self.fatal.text().is_none() {
            self.is_producer_stale = self.stale_client.missed().await;
        }
        self.refuse(refused);
        self.delete_acknowledged().await
    }

    /// Whether the producer has nothing to send while Kafka refuses connections: it may have an old password, and would learn
    /// that only by its next row.
    fn is_idle_and_refused(&self) -> bool {
        self.settings.connection.refusal().is_some() && self.in_flight.sent().next().is_none()
    }

    async fn delete_acknowledged(&mut self) -> sqlx::Result<()> {
        let waits = || Instant::now() < self.next_delete && self.acknowledged.len() < rows::LIMIT;
        if self.acknowledged.is_empty() || waits() && !self.in_flight.has_next(&self.acknowledged) {
            return Ok(());
        }
        pause::at("relay.acknowledged").await;
        // When this fails, the rows stay in `acknowledged` and in flight: a later tick deletes them, and none is sent again.
        let deleted = rows::delete(self.outbox.pool(), &self.acknowledged).await?;
        self.next_delete = Instant::now() + DELETE_INTERVAL;
        for id in std::mem::take(&mut self.acknowledged) {
            let Some(row) = self.in_flight.finish(id) else {
                continue;
            };
            metrics::counter!("relay_published_total", "topic" => row.topic.clone()).increment(1);
            self.late.published(&row.topic, row.key.as_deref(), Instant::now());
            if deleted.binary_search(&id).is_err() {
                tracing::warn!(
                    topic = row.topic,
                    "an event was published twice, or after it was withdrawn: another relay or an erasure was faster"
                );
                self.republish_state(&row.topic, row.key.as_deref()).await;
            }
        }
        self.forget_outages();
        Ok(())
    }

    /// Keeps refused rows to send them again. Each outage is logged once, however many rows it stops.
    fn refuse(&mut self, refused: Vec<(i64, Refusal, String)>) {
        if refused.is_empty() {
            return;
        }
        let mut counts: BTreeMap<Refusal, (String, usize)> = BTreeMap::new();
        for (id, refusal, error) in refused {
            self.in_flight.refuse(id, refusal.clone());
            counts.entry(refusal).or_insert((error, 0)).1 += 1;
        }
        for (refusal, (error, events)) in counts {
            self.outages.begin(refusal, &error, events);
        }
        self.report_outages();
    }

    pub(super) fn report_outages(&self) {
        let refused = self.outages.summary();
        self.status
            .send_if_modified(|status| std::mem::replace(&mut status.refused, refused.clone()) != refused);
    }

    /// Publishes the state of a key again. On a compacted topic the last record of a key must be its state, and a late
    /// repetition may have taken that place.
    async fn republish_state(&self, topic: &str, key: Option<&[u8]>) {
        let owner = self.compacted.iter().find(|owner| owner.topic().name == topic);
        let key = key.and_then(|key| std::str::from_utf8(key).ok());
        if let (Some(owner), Some(key)) = (owner, key)
            && owner.topic().cleanup == Cleanup::Compact
            && let Err(error) = republish_key(&self.outbox, owner.as_ref(), key).await
        {
            tracing::error!(
                topic,
                %error,
                "the state of a key could not be published again; the daily republish publishes it"
            );
        }
    }
}
