//! How many of the waiting subscribers one wave notifies.

/// A subscriber on the waitlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate<T> {
    pub id: T,
    pub wanted: i64,
}

/// The units that may still be announced: `factor` times the available units, less those of queued messages and of recently
/// notified subscribers.
pub(crate) fn budget(factor: f64, available: i64, queued: i64, recently_notified: i64) -> i64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "units of a product, rounded down"
    )]
    let total = (factor * available.max(0) as f64) as i64;
    total.saturating_sub(queued).saturating_sub(recently_notified)
}

/// Chooses candidates in their order until the budget is used up; the last one may overdraw it. A subscriber who wants more
/// than is available is passed over and keeps the place. Returns the chosen ids and the rest of the budget.
pub(crate) fn choose<T: Copy>(candidates: &[Candidate<T>], available: i64, mut budget: i64) -> (Vec<T>, i64) {
    let mut chosen = Vec::new();
    for candidate in candidates.iter().filter(|candidate| candidate.wanted <= available) {
        if budget <= 0 {
            break;
        }
        budget -= candidate.wanted;
        chosen.push(candidate.id);
    }
    (chosen, budget)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(wanted: &[i64]) -> Vec<Candidate<usize>> {
        wanted.iter().enumerate().map(|(id, wanted)| Candidate { id, wanted: *wanted }).collect()
    }

    #[test]
    fn the_budget_is_factor_times_stock_less_the_units_announced() {
        assert_eq!(budget(2.0, 3, 0, 0), 6);
        assert_eq!(budget(2.0, 3, 4, 1), 1);
        assert_eq!(budget(1.5, 3, 0, 0), 4);
        assert_eq!(budget(2.0, 0, 1, 0), -1);
        assert_eq!(budget(2.0, -1, 0, 0), 0);
    }

    #[test]
    fn a_subscriber_who_wants_too_many_is_passed_over_and_the_last_may_overdraw() {
        assert_eq!(choose(&candidates(&[1, 5, 2, 2, 1]), 3, 4), (vec![0, 2, 3], -1));
        assert_eq!(choose(&candidates(&[1]), 3, 0), (vec![], 0));
    }

    proptest! {
        #[test]
        fn no_subscriber_overtakes_an_earlier_one_who_could_be_notified(wanted in prop::collection::vec(1_i64..10, 0..50), available in 0_i64..12, budget in -5_i64..60) {
            let candidates = candidates(&wanted);
            let (chosen, left) = choose(&candidates, available, budget);
            let fit: Vec<usize> = candidates.iter().filter(|c| c.wanted <= available).map(|c| c.id).collect();
            // The chosen are the first of all who could be notified.
            prop_assert_eq!(&chosen[..], &fit[..chosen.len()]);
            // Only the last one may overdraw.
            let spent: i64 = chosen.iter().map(|id| wanted[*id]).sum();
            prop_assert_eq!(left, budget - spent);
            let last = chosen.last().map_or(0, |id| wanted[*id]);
            prop_assert!(chosen.is_empty() || spent - last < budget);
            // It ends because the budget is used up, or nobody is left.
            prop_assert!(left <= 0 || chosen.len() == fit.len());
        }
    }
}
