//! The rows that the relay holds: a chain per topic and key in the order of the outbox, its front perhaps in flight.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::refusals::Refusal;
use crate::outbox::Row;

/// The most rows that are held and not refused, and their bytes: beyond that nothing is fetched.
const CAPACITY: usize = 4000;
const CAPACITY_BYTES: usize = 16 << 20;
/// The most refused keys of one topic that are held and sent again, and the bytes of their first rows. Beyond that the
/// topic takes no more rows until Kafka takes one of these: refused rows never use up the capacity of others.
const REFUSED_KEYS: usize = 200;
const REFUSED_BYTES: usize = 2 << 20;
/// A chain of this length takes no more rows until it is shorter, so that a hot key cannot fill the relay.
const LONG: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A topic and a key.
pub(super) type ChainKey = (String, Option<Vec<u8>>);

#[derive(Debug, Default)]
pub(super) struct InFlight {
    by_key: HashMap<ChainKey, Chain>,
    /// Which chain the row with this id is in.
    keys: HashMap<i64, ChainKey>,
    /// Chains whose front has not been sent.
    idle: HashSet<ChainKey>,
    bytes: usize,
    /// The refused keys by topic.
    refused: HashMap<String, Refused>,
}

#[derive(Debug, Default)]
struct Chain {
    rows: VecDeque<(i64, Row)>,
    /// Why the front was refused the last time, and how often in a row.
    refusal: Option<Refusal>,
    refusals: u32,
    retry_at: Option<Instant>,
}

/// What the refused keys of a topic take: each holds its first row alone.
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
        let key: ChainKey = (row.topic.clone(), row.key.clone());
        self.keys.insert(id, key.clone());
        self.bytes += row.bytes();
        let chain = self.by_key.entry(key.clone()).or_default();
        if chain.rows.is_empty() {
            self.idle.insert(key);
        }
        chain.rows.push_back((id, row));
    }

    /// The fronts that may be sent now.
    pub(super) fn ready(&self, now: Instant) -> Vec<i64> {
        let in_flight = self.idle.iter().filter_map(|key| self.by_key.get(key));
        let due = in_flight.filter(|chain| chain.retry_at.is_none_or(|at| at <= now));
        let mut fronts: Vec<i64> = due.filter_map(|chain| chain.rows.front()).map(|(id, _)| *id).collect();
        fronts.sort_unstable();
        fronts
    }

    /// Those of `ids` that were refused before.
    pub(super) fn refused(&self, ids: &[i64]) -> Vec<i64> {
        let chain = |id: &i64| self.by_key.get(self.keys.get(id)?);
        ids.iter().copied().filter(|id| chain(id).is_some_and(|chain| chain.refusals > 0)).collect()
    }

    /// Takes the front with this id into flight.
    pub(super) fn send(&mut self, id: i64) -> Option<&Row> {
        let key = self.keys.get(&id)?;
        self.idle.remove(key);
        self.by_key.get(key)?.rows.front().map(|(_, row)| row)
    }

    /// The row is gone, published or withdrawn; the next of its key may go. `None` when it is not held any more.
    pub(super) fn finish(&mut self, id: i64) -> Option<Row> {
        let key = self.keys.remove(&id)?;
        let chain = self.by_key.get_mut(&key)?;
        let (_, row) = chain.rows.pop_front()?;
        self.bytes -= row.bytes();
        if chain.refusal.take().is_some() {
            release(&mut self.refused, &row);
        }
        (chain.refusals, chain.retry_at) = (0, None);
        if chain.rows.is_empty() {
            self.by_key.remove(&key);
            self.idle.remove(&key);
        } else {
            self.idle.insert(key);
        }
        Some(row)
    }

    /// Keeps a refused row to be sent again after a pause, without the rows behind it: they stay in the outbox. The whole
    /// key goes back there when its topic holds as many refused keys as it may.
    pub(super) fn refuse(&mut self, id: i64, refusal: Refusal) {
        let Some(key) = self.keys.get(&id).cloned() else { return };
        let Some(chain) = self.by_key.get_mut(&key) else { return };
        let known = chain.refusal.replace(refusal).is_some();
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(chain.refusals)).min(LONGEST_PAUSE);
        chain.refusals = (chain.refusals + 1).min(16);
        chain.retry_at = Some(Instant::now() + pause);
        let kept = if known {
            1
        } else {
            let refused = self.refused.entry(key.0.clone()).or_default();
            let kept = usize::from(!refused.is_full());
            if let Some((_, row)) = chain.rows.front().filter(|_| kept == 1) {
                refused.keys += 1;
                refused.bytes += row.bytes();
            }
            kept
        };
        for (id, row) in chain.rows.drain(kept..) {
            self.keys.remove(&id);
            self.bytes -= row.bytes();
        }
        if kept == 1 {
            self.idle.insert(key);
        } else {
            self.by_key.remove(&key);
        }
    }

    /// The keys of which a row was sent and is not published.
    pub(super) fn sent(&self) -> impl Iterator<Item = &ChainKey> {
        let was_sent = |(key, chain): &(&ChainKey, &Chain)| chain.refusals > 0 || !self.idle.contains(*key);
        self.by_key.iter().filter(was_sent).map(|(key, _)| key)
    }

    /// Why rows that are held were refused.
    pub(super) fn refusals(&self) -> BTreeSet<Refusal> {
        self.by_key.values().filter_map(|chain| chain.refusal.clone()).collect()
    }

    /// The topic of a row that is held.
    pub(super) fn topic(&self, id: i64) -> Option<&str> {
        self.keys.get(&id).map(|(topic, _)| topic.as_str())
    }

    /// When the first refused row goes again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.idle.iter().filter_map(|key| self.by_key.get(key)?.retry_at).min()
    }

    /// Whether no more rows fit, those of refused keys aside.
    pub(super) fn is_full(&self) -> bool {
        let (keys, bytes) =
            self.refused.values().fold((0, 0), |(keys, bytes), of| (keys + of.keys, bytes + of.bytes));
        self.keys.len() - keys >= CAPACITY || self.bytes - bytes >= CAPACITY_BYTES
    }

    /// Topics that take no more rows for now: Kafka refuses as many of their keys as are held.
    pub(super) fn closed_topics(&self) -> impl Iterator<Item = &String> {
        self.refused.iter().filter(|(_, refused)| refused.is_full()).map(|(topic, _)| topic)
    }

    /// The ids that are held: not to be selected again.
    pub(super) fn ids(&self) -> Vec<i64> {
        self.keys.keys().copied().collect()
    }

    /// Keys that take no more rows for now: what is behind them would only fill the relay.
    pub(super) fn closed(&self) -> impl Iterator<Item = &ChainKey> {
        self.by_key
            .iter()
            .filter(|(_, chain)| chain.rows.len() >= LONG || chain.refusal.is_some())
            .map(|(key, _)| key)
    }

    /// Forgets all rows but those in flight: their acknowledgements still come, and until then they must not go again.
    pub(super) fn forget_waiting(&mut self) {
        let idle = std::mem::take(&mut self.idle);
        self.by_key.retain(|key, _| !idle.contains(key));
        self.refused.clear();
        for chain in self.by_key.values_mut() {
            chain.rows.truncate(1);
            (chain.refusal, chain.refusals, chain.retry_at) = (None, 0, None);
        }
        let in_flight: HashSet<i64> =
            self.by_key.values().filter_map(|chain| Some(chain.rows.front()?.0)).collect();
        self.keys.retain(|id, _| in_flight.contains(id));
        self.bytes = self.by_key.values().flat_map(|chain| &chain.rows).map(|(_, row)| row.bytes()).sum();
    }
}

/// Takes a published row out of its topic's refused ones.
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
