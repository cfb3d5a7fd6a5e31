//! One turn of the relay: hold the lease, fetch rows, send what may go, wait for news, settle it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use envelope::Cleanup;
use tokio_util::sync::CancellationToken;

use super::refusals::Refusal;
use super::{FASTEST_POLL, Relay, SLOWEST_POLL, STANDBY, rows};
use crate::pause;
use crate::producer::{Acknowledgement, Producer};
use crate::republish;

/// What a turn waits for at most: a relay that has nothing to do still renews its lease.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Relay {
    pub(super) async fn turn(&mut self, producer: &Producer, stop: &CancellationToken) -> sqlx::Result<()> {
        let until = if self.lead().await? {
            // Also when an acknowledgement has woken it: what does not fit must stay in the outbox.
            if !self.in_flight.is_full() && Instant::now() >= self.look_at {
                self.fetch().await?;
            }
            self.send(producer).await?;
            self.next_turn()
        } else {
            // Acknowledgements of what was sent while it led still come, and must be settled.
            Instant::now() + STANDBY
        };
        let news = self.wait(until, stop).await;
        self.acknowledge(news).await?;
        while let Some((topic, key)) = self.late.due(Instant::now()) {
            self.repair(&topic, key.as_deref()).await;
        }
        Ok(())
    }

    /// Adds rows that are not held yet, and decides when to look again.
    async fn fetch(&mut self) -> sqlx::Result<()> {
        let rows = rows::select(self.outbox.pool(), &self.in_flight).await?;
        self.poll = if rows.is_empty() { (self.poll * 2).min(SLOWEST_POLL) } else { FASTEST_POLL };
        let more = rows.len() >= rows::LIMIT;
        self.look_at = Instant::now() + if more { Duration::ZERO } else { self.poll };
        for (id, row) in rows {
            self.in_flight.push(id, row);
        }
        Ok(())
    }

    /// Sends the front of each chain that may go. The lease is looked at last, just before: a relay that was frozen
    /// since must not send.
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

    /// Forgets refused rows that are gone from the outbox by now: what was withdrawn while Kafka was away is not published
    /// when it is back.
    async fn drop_withdrawn(&mut self) -> sqlx::Result<()> {
        let again = self.in_flight.refused(&self.in_flight.ready(Instant::now()));
        if again.is_empty() {
            return Ok(());
        }
        let present = rows::present(self.outbox.pool(), &again).await?;
        for id in again.iter().filter(|id| !present.contains(id)) {
            self.in_flight.finish(*id);
        }
        Ok(())
    }

    /// When there is something to do that nobody announces.
    fn next_turn(&self) -> Instant {
        let look_at = if self.in_flight.is_full() { None } else { Some(self.look_at) };
        let longest = Instant::now() + LONGEST_WAIT;
        look_at.into_iter().chain(self.in_flight.next_retry()).min().map_or(longest, |at| at.min(longest))
    }

    /// Waits for an acknowledgement, a commit, or `until`; returns the acknowledgements that are there.
    async fn wait(&mut self, until: Instant, stop: &CancellationToken) -> Vec<Acknowledgement> {
        let mut news = Vec::new();
        let takes_more = self.lease.is_held() && !self.in_flight.is_full();
        tokio::select! {
            () = stop.cancelled() => {}
            _ = self.acknowledgements.recv_many(&mut news, rows::LIMIT) => {}
            () = self.outbox.woken(), if takes_more => self.look_at = Instant::now(),
            () = tokio::time::sleep_until(until.into()) => {}
        }
        news
    }

    /// Deletes what Kafka has, and lets the next row of each key go; a refused row waits, its key behind it.
    async fn acknowledge(&mut self, news: Vec<Acknowledgement>) -> sqlx::Result<()> {
        let (mut refused, mut answered) = (Vec::new(), false);
        for Acknowledgement { id, result } in news {
            match result {
                Ok(()) => {
                    answered = true;
                    self.delivered.push(id);
                }
                Err(error) => {
                    let Some(topic) = self.in_flight.topic(id) else { continue };
                    let refusal = Refusal::of(topic, &error);
                    answered |= refusal != Refusal::Unreachable;
                    refused.push((id, refusal, error.to_string()));
                }
            }
        }
        if answered {
            self.stale_client.reached();
        } else if !refused.is_empty() {
            self.is_stranded = self.stale_client.missed().await;
        }
        self.refuse(refused);
        if self.delivered.is_empty() {
            return Ok(());
        }
        pause::at("relay.acknowledged").await;
        // When this fails they stay in `delivered`, and held: the next turn deletes them, none goes again.
        let deleted = rows::delete(self.outbox.pool(), &self.delivered).await?;
        for id in std::mem::take(&mut self.delivered) {
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
                self.repair(&row.topic, row.key.as_deref()).await;
            }
        }
        if !self.outages.is_empty() {
            self.outages.keep(&self.in_flight.refusals());
            self.report();
        }
        Ok(())
    }

    /// Keeps refused rows to be sent again; logs an outage once, however many rows it stops.
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
        self.report();
    }

    /// Shows the outages in the status.
    pub(super) fn report(&self) {
        let refused = self.outages.summary();
        self.status.send_if_modified(|status| {
            let changed = status.refused != refused;
            status.refused = refused;
            changed
        });
    }

    /// A late repetition may be the last record of its key now; on a compacted topic the state must be.
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
}
