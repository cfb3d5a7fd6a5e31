//! Keys of which Kafka may still get an old record. A producer that is replaced has records in its connection; Kafka may read
//! them after the same and later ones that the new producer sent, since nothing orders two connections. Readers skip such a
//! repetition by its sequence; but on a compacted topic it would be what is left of its key. So the state of these keys is
//! published once more, some time after Kafka has taken what the old producer had in flight.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::in_flight::ChainKey;

/// A broker that has just taken a record of the new connection has read the old one, whose client is gone, long before.
const PAUSE: Duration = Duration::from_secs(10);

/// The keys in question.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// What the old producer had in flight of them is not published yet.
    in_flight: HashSet<ChainKey>,
    /// When each is to be published once more.
    due: VecDeque<(Instant, ChainKey)>,
}

impl Late {
    /// The producer is replaced, which had sent records of these keys.
    pub(super) fn expect(&mut self, keys: impl IntoIterator<Item = ChainKey>) {
        self.in_flight.extend(keys);
    }

    /// Kafka has taken a record of this key.
    pub(super) fn published(&mut self, topic: &str, key: Option<&[u8]>, now: Instant) {
        if self.in_flight.is_empty() {
            return;
        }
        if let Some(key) = self.in_flight.take(&(topic.to_owned(), key.map(<[u8]>::to_vec))) {
            self.due.push_back((now + PAUSE, key));
        }
    }

    /// The next key that is to be published once more now.
    pub(super) fn due(&mut self, now: Instant) -> Option<ChainKey> {
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
        assert_eq!(late.due(now + PAUSE), None, "that was the state itself");
    }
}
