//! Keys of which Kafka may still receive an old record after the producer is replaced.
//!
//! Records of the old producer may still be in its connection, and Kafka may read them after the same and later records of
//! the new producer, because nothing orders two connections. Readers skip such a repetition by its sequence, but on a
//! compacted topic it would remain as the last record of its key. So the relay publishes the state of these keys once more,
//! some time after Kafka has acknowledged the records that the old producer had in flight.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::in_flight::TopicKey;

/// A broker that has acknowledged a record of the new connection has read the old connection, whose client is gone, long
/// before this pause is over.
const PAUSE: Duration = Duration::from_secs(10);

/// The keys whose state is published once more.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Keys that the old producer had in flight and that are not published yet.
    in_flight: HashSet<TopicKey>,
    /// Keys to publish once more, and when.
    due: VecDeque<(Instant, TopicKey)>,
}

impl Late {
    /// Notes the keys that a replaced producer had in flight.
    pub(super) fn expect(&mut self, keys: impl IntoIterator<Item = TopicKey>) {
        self.in_flight.extend(keys);
    }

    /// Notes that Kafka has acknowledged a record of this key.
    pub(super) fn published(&mut self, topic: &str, key: Option<&[u8]>, now: Instant) {
        if self.in_flight.is_empty() {
            return;
        }
        if let Some(key) = self.in_flight.take(&(topic.to_owned(), key.map(<[u8]>::to_vec))) {
            self.due.push_back((now + PAUSE, key));
        }
    }

    /// Returns the next key to publish once more now.
    pub(super) fn due(&mut self, now: Instant) -> Option<TopicKey> {
        self.due.pop_front_if(|(at, _)| *at <= now).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_in_flight_is_due_once_after_its_record_was_published() {
        let (mut late, now) = (Late::default(), Instant::now());
        let key = |key: &str| ("stock".to_owned(), Some(key.as_bytes().to_vec()));
        late.expect([key("MUG"), key("PEN")]);
        late.published("stock", Some(b"MUG"), now);
        late.published("stock", Some(b"CUP"), now);
        assert_eq!(late.due(now), None);
        assert_eq!(late.due(now + PAUSE), Some(key("MUG")));
        late.published("stock", Some(b"MUG"), now);
        assert_eq!(late.due(now + PAUSE), None, "this record was the state itself");
    }
}
