//! Counts dead letters in a row: too many of them without one success mean a bad deployment instead of bad records.

use std::collections::BTreeMap;

use crate::handler::Outcome;

/// The cause that is reported while a batch waits at the limit.
pub(super) const TOO_MANY: &str = "too many dead letters in a row without one success: this looks like a bad deployment. \
     Fix it, or raise DEAD_LETTER_LIMIT, and start the service again";

/// The present number of dead letters in a row of each topic: a success on one topic says nothing about another.
#[derive(Debug, Default)]
pub(super) struct DeadLetterLimit(BTreeMap<&'static str, u64>);

impl DeadLetterLimit {
    /// Returns the number of dead letters in a row after these outcomes, of which [`Outcome::Dead`] must be new ones.
    /// `None`: the number exceeds `limit` at some point.
    pub(super) fn after<'a>(
        &self,
        topic: &str,
        limit: u64,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
    ) -> Option<u64> {
        let before = self.0.get(topic).copied().unwrap_or(0);
        outcomes.into_iter().try_fold(before, |in_a_row, outcome| match outcome {
            Outcome::Dead(_) => (in_a_row < limit).then_some(in_a_row + 1),
            Outcome::Skipped => Some(in_a_row),
            Outcome::Applied | Outcome::Repeated => Some(0),
        })
    }

    pub(super) fn set(&mut self, topic: &'static str, in_a_row: u64) {
        self.0.insert(topic, in_a_row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Applied, Skipped};

    #[test]
    fn only_a_success_on_the_same_topic_starts_the_count_again() {
        let mut limit = DeadLetterLimit::default();
        let dead = || Outcome::Dead("bad".to_owned());
        assert_eq!(limit.after("a", 3, &[dead(), Skipped, dead()]), Some(2));
        limit.set("a", 2);
        assert_eq!(limit.after("b", 3, &[Applied]), Some(0));
        assert_eq!(limit.after("a", 3, &[dead(), Skipped, Applied, dead()]), Some(1));
        assert_eq!(limit.after("a", 3, &[dead(), dead(), Applied]), None);
    }
}
