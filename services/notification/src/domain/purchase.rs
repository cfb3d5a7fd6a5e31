//! The effect of confirmed orders on subscribers. An order with the claim of a message converts the subscription, for good. Any
//! other order of the same address suspends it for as long as the order stands: the subscriber is not notified, and counts as
//! `bought`. A cancellation deletes the purchase, and the subscriber is on the waitlist again at the old place (the view
//! `standing_purchases` is the whole rule). So nobody's order ends what the owner of the address confirmed.

use std::collections::BTreeMap;

use broker::Cause;
use events::values::{ClaimHash, CustomerId, OrderId, Sku};
use time::OffsetDateTime;
use uuid::Uuid;

/// A line of a confirmed order.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    pub order: OrderId,
    pub customer: CustomerId,
    pub sku: Sku,
    pub units: i64,
    pub claim: Option<ClaimHash>,
    pub cause: Cause,
    pub at: OffsetDateTime,
}

/// The lines that stand of each order of a batch, after its last event; none of a cancelled order.
#[derive(Debug, Default)]
pub(crate) struct StandingLines(BTreeMap<OrderId, Vec<Purchase>>);

impl StandingLines {
    pub(crate) fn confirmed(&mut self, order: OrderId, lines: Vec<Purchase>) {
        self.0.insert(order, lines);
    }

    /// The order is cancelled: none of its lines is bought.
    pub(crate) fn cancelled(&mut self, order: OrderId) {
        self.0.insert(order, Vec::new());
    }

    pub(crate) fn purchases(&self) -> impl Iterator<Item = &Purchase> {
        self.0.values().flatten()
    }

    /// The orders whose purchases do not stand any more.
    pub(crate) fn cancelled_orders(&self) -> Vec<Uuid> {
        self.0.iter().filter(|(_, lines)| lines.is_empty()).map(|(order, _)| order.uuid()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn line(order: OrderId) -> Purchase {
        Purchase {
            order,
            customer: CustomerId::random(),
            sku: "PEN".parse().unwrap(),
            units: 1,
            claim: None,
            cause: Cause::default(),
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    proptest! {
        /// However a history is cut into batches, the purchases that stand in the end are those confirmed and not cancelled
        /// since.
        #[test]
        fn only_what_was_not_cancelled_stands(
            history in prop::collection::vec((0..6_usize, any::<bool>()), 0..40),
            cuts in prop::collection::vec(any::<bool>(), 40),
        ) {
            let orders: Vec<OrderId> = (0..6).map(|_| OrderId::new(OffsetDateTime::UNIX_EPOCH)).collect();
            let (mut table, mut expected) = (BTreeSet::new(), BTreeSet::new());
            let mut batch = StandingLines::default();
            for (step, (order, confirmed)) in history.into_iter().enumerate() {
                let order = orders[order];
                if confirmed {
                    batch.confirmed(order, vec![line(order)]);
                    expected.insert(order.uuid());
                } else {
                    batch.cancelled(order);
                    expected.remove(&order.uuid());
                }
                if cuts[step] {
                    commit(&mut table, &std::mem::take(&mut batch));
                }
            }
            commit(&mut table, &batch);
            prop_assert_eq!(table, expected);
        }
    }

    /// Does what the database does with a batch.
    fn commit(table: &mut BTreeSet<Uuid>, batch: &StandingLines) {
        let cancelled = batch.cancelled_orders();
        table.retain(|order| !cancelled.contains(order));
        table.extend(batch.purchases().map(|purchase| purchase.order.uuid()));
    }
}
