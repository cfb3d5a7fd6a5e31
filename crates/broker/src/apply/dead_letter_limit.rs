//! Dead letters in a row, without one success between them: too many mean a bad deployment, not bad records.

use std::collections::BTreeMap;

use crate::handler::Outcome;

/// What a batch waits with when the limit is reached.
pub(super) const TOO_MANY: &str = "too many dead letters in a row without one success: this looks like a bad deployment. \
     Fix it, or raise DEAD_LETTER_LIMIT, and start the service again";

#[derive(Debug)]
pub(super) struct DeadLetterLimit {
    limit: u64,
    /// By topic: another one's successes say nothing about this one.
    in_a_row: BTreeMap<&'static str, u64>,
}

impl DeadLetterLimit {
    pub(super) fn limited_to(limit: u64) -> Self {
        Self { limit, in_a_row: BTreeMap::new() }
    }

    /// How many there are in a row after this batch; `None`: more than the limit, at some point of it. `Dead` stands for
    /// those that were not dead before.
    pub(super) fn after(&self, topic: &str, outcomes: impl Iterator<Item = Outcome>) -> Option<u64> {
        let before = self.in_a_row.get(topic).copied().unwrap_or(0);
        outcomes.into_iter().try_fold(before, |dead_letter_limit, outcome| match outcome {
            Outcome::Dead => (dead_letter_limit < self.limit).then_some(dead_letter_limit + 1),
            Outcome::Skipped => Some(dead_letter_limit),
            Outcome::Applied | Outcome::Repeated => Some(0),
        })
    }

    pub(super) fn set(&mut self, topic: &'static str, in_a_row: u64) {
        self.in_a_row.insert(topic, in_a_row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Applied, Dead, Skipped};

    #[test]
    fn only_a_success_on_the_same_topic_starts_the_count_again() {
        let mut dead_letter_limit = DeadLetterLimit::limited_to(3);
        assert_eq!(dead_letter_limit.after("a", [Dead, Skipped, Dead].into_iter()), Some(2));
        dead_letter_limit.set("a", 2);
        assert_eq!(dead_letter_limit.after("b", [Applied].into_iter()), Some(0));
        assert_eq!(dead_letter_limit.after("a", [Dead, Skipped, Applied, Dead].into_iter()), Some(1));
        assert_eq!(dead_letter_limit.after("a", [Dead, Dead, Applied].into_iter()), None);
    }
}
