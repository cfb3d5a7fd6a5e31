//! The rows that the relay holds in memory: one queue per topic and key, in the order of the outbox. Only the first row of
//! each queue may be in flight.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::refusals::Refusal;
use crate::outbox::Row;

/// The largest number and size of rows that are held and not refused; above it the relay fetches no more rows.
const CAPACITY: usize = 4000;
const CAPACITY_BYTES: usize = 16 << 20;
/// The largest number of refused keys of one topic that are held and sent again, and the largest size of their first rows.
/// Above it no more rows of the topic are fetched until Kafka takes one of these. So refused rows never use up the capacity
/// of others.
const REFUSED_KEYS: usize = 200;
const REFUSED_BYTES: usize = 2 << 20;
/// A queue of this length takes no more rows, so that one busy key cannot fill the relay.
const LONGEST_QUEUE: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) type TopicKey = (String, Option<Vec<u8>>);

#[derive(Debug, Default)]
pub(super) struct InFlight {
    by_key: HashMap<TopicKey, Queue>,
    /// The key of each row by its id.
    keys: HashMap<i64, TopicKey>,
    /// Queues whose first row is not in flight.
    idle: HashSet<TopicKey>,
    bytes: usize,
    refused: HashMap<String, Refused>,
}

#[derive(Debug, Default)]
struct Queue {
    rows: VecDeque<(i64, Row)>,
    /// The last refusal of the first row.
    refusal: Option<Refusal>,
    /// The number of refusals of the first row in a row.
    refusals: u32,
    retry_at: Option<Instant>,
}

/// The number of refused keys of a topic, and the size of their first rows. A refused key holds only its first row.
#[derive(Debug, Default)]
struct Refused {
    keys: usize,
    bytes: usize,
}

impl Refused {
    fn is_full(&self) -> bool {
        self.keys >= REFUSED_KEYS || self.bytes >= REFUSED_BYTES
    }
}

impl InFlight {
    pub(super) fn push(&mut self, id: i64, row: Row) {
        let key: TopicKey = (row.topic.clone(), row.key.clone());
        self.keys.insert(id, key.clone());
        self.bytes += row.bytes();
        let queue = self.by_key.entry(key.clone()).or_default();
        if queue.rows.is_empty() {
            self.idle.insert(key);
        }
        queue.rows.push_back((id, row));
    }

    /// Returns the ids of the rows that may be sent now.
    pub(super) fn ready(&self, now: Instant) -> Vec<i64> {
        let idle = self.idle.iter().filter_map(|key| self.by_key.get(key));
        let due = idle.filter(|queue| queue.retry_at.is_none_or(|at| at <= now));
        let mut ready: Vec<i64> = due.filter_map(|queue| queue.rows.front()).map(|(id, _)| *id).collect();
        ready.sort_unstable();
        ready
    }

    pub(super) fn refused(&self, ids: &[i64]) -> Vec<i64> {
        let queue = |id: &i64| self.by_key.get(self.keys.get(id)?);
        ids.iter().copied().filter(|id| queue(id).is_some_and(|queue| queue.refusals > 0)).collect()
    }

    /// Marks the first row of a queue as in flight and returns it.
    pub(super) fn send(&mut self, id: i64) -> Option<&Row> {
        let key = self.keys.get(&id)?;
        self.idle.remove(key);
        self.by_key.get(key)?.rows.front().map(|(_, row)| row)
    }

    /// Returns whether a row waits until one of `ids` is finished.
    pub(super) fn has_next(&self, ids: &[i64]) -> bool {
        let queue = |id: &i64| self.by_key.get(self.keys.get(id)?);
        ids.iter().filter_map(queue).any(|queue| queue.rows.len() > 1)
    }

    /// Forgets a row that was published or withdrawn, so that the next row of its key may be sent. `None`: the row is not
    /// held.
    pub(super) fn finish(&mut self, id: i64) -> Option<Row> {
        let key = self.keys.remove(&id)?;
        let queue = self.by_key.get_mut(&key)?;
        let (_, row) = queue.rows.pop_front()?;
        self.bytes -= row.bytes();
        if queue.refusal.take().is_some() {
            release(&mut self.refused, &row);
        }
        (queue.refusals, queue.retry_at) = (0, None);
        if queue.rows.is_empty() {
            self.by_key.remove(&key);
            self.idle.remove(&key);
        } else {
            self.idle.insert(key);
        }
        Some(row)
    }

    /// Keeps a refused row to send it again after a pause, and forgets the rows after it, which stay in the outbox. Forgets
    /// the whole key when the relay holds as many refused keys of the topic as it may.
    pub(super) fn refuse(&mut self, id: i64, refusal: Refusal) {
        let Some(key) = self.keys.get(&id).cloned() else { return };
        let Some(queue) = self.by_key.get_mut(&key) else { return };
        let known = queue.refusal.replace(refusal).is_some();
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(queue.refusals)).min(LONGEST_PAUSE);
        queue.refusals = (queue.refusals + 1).min(16);
        queue.retry_at = Some(Instant::now() + pause);
        let kept = if known {
            1
        } else {
            let refused = self.refused.entry(key.0.clone()).or_default();
            let kept = usize::from(!refused.is_full());
            if let Some((_, row)) = queue.rows.front().filter(|_| kept == 1) {
                refused.keys += 1;
                refused.bytes += row.bytes();
            }
            kept
        };
        for (id, row) in queue.rows.drain(kept..) {
            self.keys.remove(&id);
            self.bytes -= row.bytes();
        }
        if kept == 1 {
            self.idle.insert(key);
        } else {
            self.by_key.remove(&key);
        }
    }

    /// Returns the keys of which a row was sent and is not published.
    pub(super) fn sent(&self) -> impl Iterator<Item = &TopicKey> {
        let was_sent = |(key, queue): &(&TopicKey, &Queue)| queue.refusals > 0 || !self.idle.contains(*key);
        self.by_key.iter().filter(was_sent).map(|(key, _)| key)
    }

    pub(super) fn refusals(&self) -> BTreeSet<Refusal> {
        self.by_key.values().filter_map(|queue| queue.refusal.clone()).collect()
    }

    pub(super) fn topic(&self, id: i64) -> Option<&str> {
        self.keys.get(&id).map(|(topic, _)| topic.as_str())
    }

    /// Returns when the next refused row may be sent again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.idle.iter().filter_map(|key| self.by_key.get(key)?.retry_at).min()
    }

    /// Returns whether the capacity is used up, not counting refused keys.
    pub(super) fn is_full(&self) -> bool {
        let (keys, bytes) =
            self.refused.values().fold((0, 0), |(keys, bytes), of| (keys + of.keys, bytes + of.bytes));
        self.keys.len() - keys >= CAPACITY || self.bytes - bytes >= CAPACITY_BYTES
    }

    /// Returns the topics that take no more rows for now, because the relay holds as many of their refused keys as it may.
    pub(super) fn closed_topics(&self) -> impl Iterator<Item = &String> {
        self.refused.iter().filter(|(_, refused)| refused.is_full()).map(|(topic, _)| topic)
    }

    /// Returns the ids of all rows that are held, which must not be selected again.
    pub(super) fn ids(&self) -> Vec<i64> {
        self.keys.keys().copied().collect()
    }

    /// Returns the keys that take no more rows for now: further rows would only fill the relay.
    pub(super) fn closed(&self) -> impl Iterator<Item = &TopicKey> {
        self.by_key
            .iter()
            .filter(|(_, queue)| queue.rows.len() >= LONGEST_QUEUE || queue.refusal.is_some())
            .map(|(key, _)| key)
    }

    /// Forgets all rows except those in flight: their acknowledgements still arrive, and until then they must not be sent
    /// again.
    pub(super) fn forget_waiting(&mut self) {
        let idle = std::mem::take(&mut self.idle);
        self.by_key.retain(|key, _| !idle.contains(key));
        self.refused.clear();
        for queue in self.by_key.values_mut() {
            queue.rows.truncate(1);
            (queue.refusal, queue.refusals, queue.retry_at) = (None, 0, None);
        }
        let in_flight: HashSet<i64> =
            self.by_key.values().filter_map(|queue| Some(queue.rows.front()?.0)).collect();
        self.keys.retain(|id, _| in_flight.contains(id));
        self.bytes = self.by_key.values().flat_map(|queue| &queue.rows).map(|(_, row)| row.bytes()).sum();
    }
}

/// Removes a published row from the refused keys of its topic.
fn release(refused: &mut HashMap<String, Refused>, row: &Row) {
    if let Some(of) = refused.get_mut(&row.topic) {
        of.keys -= 1;
        of.bytes -= row.bytes();
        if of.keys == 0 {
            refused.remove(&row.topic);
        }
    }
}

#[cfg(test)]
mod tests;
