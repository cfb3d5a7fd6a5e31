//! Events per second of each topic in the last minute, by the time of their append.

use std::collections::{BTreeMap, VecDeque};

/// The seconds that are kept.
const SECONDS: i64 = 60;

/// The number of events by second and topic.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// The second of the front, in seconds since 1970, and the counts of it and the following ones.
    first: i64,
    counts: VecDeque<BTreeMap<Box<str>, u32>>,
}

impl Rates {
    /// Counts one event that was appended at `at` (milliseconds), unless that is too long ago.
    pub(super) fn count(&mut self, topic: &str, at: i64) {
        let second = at / 1000;
        self.move_to(second);
        let Some(counts) =
            usize::try_from(second - self.first).ok().and_then(|index| self.counts.get_mut(index))
        else {
            return;
        };
        match counts.get_mut(topic) {
            Some(count) => *count += 1,
            None => _ = counts.insert(topic.into(), 1),
        }
    }

    /// Forgets what is older than a minute before `second`.
    fn move_to(&mut self, second: i64) {
        if second >= self.first + 2 * SECONDS {
            self.counts.clear();
            self.first = second - SECONDS + 1;
        }
        while self.first + i64::try_from(self.counts.len()).unwrap_or(SECONDS) <= second {
            self.counts.push_back(BTreeMap::new());
        }
        while self.first <= second - SECONDS {
            self.counts.pop_front();
            self.first += 1;
        }
    }

    /// Returns the events of each topic in the second before `now` (milliseconds), the last one that is complete.
    pub(super) fn last_second(&mut self, now: i64) -> BTreeMap<Box<str>, u32> {
        self.move_to(now / 1000);
        let index = usize::try_from(now / 1000 - 1 - self.first).ok();
        index.and_then(|index| self.counts.get(index)).cloned().unwrap_or_default()
    }

    /// Returns the complete seconds of the last minute before `now`, the oldest first.
    pub(crate) fn minute(&mut self, now: i64) -> Vec<(i64, BTreeMap<Box<str>, u32>)> {
        self.move_to(now / 1000);
        let seconds = (self.first..now / 1000).zip(&self.counts);
        seconds.map(|(second, counts)| (second, counts.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_of_append_and_forget_after_a_minute() {
        let mut rates = Rates::default();
        for at in [100_000, 100_500, 100_999, 101_000] {
            rates.count("orders", at);
        }
        rates.count("orders", 10_000);
        assert_eq!(rates.last_second(101_200).get("orders"), Some(&3));
        assert_eq!(rates.last_second(102_200).get("orders"), Some(&1));
        assert_eq!(rates.minute(102_200).len(), 59);
        assert!(rates.minute(400_000).iter().all(|(_, counts)| counts.is_empty()));
    }
}
