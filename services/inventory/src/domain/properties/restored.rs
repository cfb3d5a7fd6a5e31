//! A database that was restored from an older copy and rolled forward by the published events has the state from before,
//! and reading `orders` again from the copy's position changes nothing.

use events::StockEvent;

use super::*;

/// The results of a history.
struct History {
    /// The inventory at its end, and at the time of the copy.
    lost: Warehouse,
    copy: Warehouse,
    /// The published events, with their sequences.
    reservations: Vec<(ReservationEvent, Sequence)>,
    levels: Vec<(StockEvent, Sequence)>,
    /// The events of orders that were applied after the copy.
    orders: Vec<OrderEvent>,
}

fn copy_of(warehouse: &Warehouse) -> Warehouse {
    let shelves = Shelves(warehouse.shelves.0.clone());
    Warehouse { reservations: warehouse.reservations.clone(), shelves }
}

/// Applies the steps as the service does, one transaction per step; the copy is made before step `copied`.
fn play(carts: &[Vec<(usize, i64)>], steps: Vec<Step>, copied: usize) -> History {
    let mut lost = empty();
    // Listing a product published its empty stock.
    lost.shelves.0.values_mut().for_each(|stock| stock.version = Sequence::NONE.next());
    let copy = copy_of(&lost);
    let mut history = History { lost, copy, reservations: vec![], levels: vec![], orders: vec![] };
    for (index, step) in steps.into_iter().enumerate() {
        if index == copied {
            history.copy = copy_of(&history.lost);
            history.orders.clear();
        }
        history.step(carts, step);
    }
    history
}

impl History {
    fn step(&mut self, carts: &[Vec<(usize, i64)>], step: Step) {
        let event = match step {
            Step::Place(index) => placed(index, &carts[index]),
            Step::Confirm(index) => confirmed(index),
            Step::Cancel(index) => cancelled(index),
            Step::Restock(index, quantity) => {
                let stock = self.lost.shelves.0.get_mut(&sku(index)).unwrap();
                stock.restock(quantity.try_into().unwrap()).unwrap();
                return self.publish(&sku(index), StockEvent::Replenished);
            }
            Step::Count(index, on_hand) => {
                let stock = self.lost.shelves.0.get_mut(&sku(index)).unwrap();
                let before = *stock;
                if stock.count(on_hand).is_ok() && *stock != before {
                    self.publish(&sku(index), StockEvent::Changed);
                }
                return;
            }
        };
        let before = Shelves(self.lost.shelves.0.clone());
        let Ok(answer) = self.lost.apply(&event) else { return };
        self.orders.push(event);
        let Some(answer) = answer else { return };
        for Line { sku, .. } in answer.goods() {
            if self.lost.shelves.0[sku].available() != before.0[sku].available() {
                self.publish(sku, StockEvent::Changed);
            }
        }
        let version = self.lost.reservations[&answer.order_id()].version;
        self.reservations.push((answer, version));
    }

    fn publish(&mut self, sku: &Sku, event: fn(events::StockLevel) -> StockEvent) {
        let stock = self.lost.shelves.0.get_mut(sku).unwrap();
        stock.version = stock.version.next();
        self.levels.push((event(stock.level(sku.clone())), stock.version));
    }

    /// Compacts `stock`.
    fn compact(&mut self) {
        let last = |levels: &[(StockEvent, Sequence)], sku: &Sku| {
            levels.iter().filter(|(event, _)| event.level().sku == *sku).map(|(_, version)| *version).max()
        };
        let all = self.levels.clone();
        self.levels.retain(|(event, version)| last(&all, &event.level().sku) == Some(*version));
    }

    /// Rolls the copy forward in the order of `own::subscriptions`, skipping repeated events as the broker does.
    fn rolled_forward(&self) -> Warehouse {
        let mut warehouse = copy_of(&self.copy);
        for (event, sequence) in &self.reservations {
            let known = warehouse.reservations.get(&event.order_id());
            if known.is_none_or(|known| known.version < *sequence) {
                warehouse.recover(event, *sequence);
                assert_is_allowed(&warehouse);
            }
        }
        for (event, sequence) in &self.levels {
            let stock = warehouse.shelves.0.get_mut(&event.level().sku).unwrap();
            if stock.version < *sequence {
                stock.recover(event, *sequence);
                assert_is_allowed(&warehouse);
            }
        }
        warehouse
    }
}

/// Asserts the schema's constraints, which hold after each batch.
fn assert_is_allowed(warehouse: &Warehouse) {
    for (sku, stock) in &warehouse.shelves.0 {
        assert!(stock.available() >= 0 && stock.reserved >= 0 && stock.committed >= 0, "{sku}: {stock:?}");
        assert!(stock.restocked >= 0, "{sku}: {stock:?}");
        let accounted = stock.on_hand + stock.committed;
        assert_eq!(stock.restocked + stock.corrected, accounted, "{sku}: {stock:?}");
    }
}

fn assert_equal(restored: &Warehouse, lost: &Warehouse) {
    assert_eq!(restored.reservations.len(), lost.reservations.len());
    for (order, reservation) in &lost.reservations {
        // `orders` is read again from the copy's position.
        let restored = &restored.reservations[order];
        assert_eq!(Reservation { seen_orders: reservation.seen_orders, ..restored.clone() }, *reservation);
    }
    for (sku, stock) in &lost.shelves.0 {
        let restored = restored.shelves.0[sku];
        let (restocked, corrected) = (stock.restocked, stock.corrected);
        assert_eq!(Stock { restocked, corrected, ..restored }, *stock, "{sku}");
        assert_eq!(restored.restocked + restored.corrected, restocked + corrected, "{sku}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_restored_inventory_has_its_state_from_before(
        carts in carts(),
        steps in steps(),
        copied in 0..80_usize,
        is_compacted in any::<bool>(),
    ) {
        let mut history = play(&carts, steps, copied);
        if is_compacted {
            history.compact();
        }
        let mut restored = history.rolled_forward();
        assert_adds_up(&restored);
        assert_equal(&restored, &history.lost);
        for event in &history.orders {
            prop_assert_eq!(restored.apply(event), Ok(None), "{:?}", event);
        }
        assert_equal(&restored, &history.lost);
    }

    /// The last levels were never published: the reserved goods are on hand all the same.
    #[test]
    fn reserved_goods_are_on_hand_without_the_last_levels(
        carts in carts(),
        steps in steps(),
        copied in 0..80_usize,
        unpublished in 0..10_usize,
    ) {
        let mut history = play(&carts, steps, copied);
        history.levels.truncate(history.levels.len().saturating_sub(unpublished));
        let mut restored = history.rolled_forward();
        assert_adds_up(&restored);
        for index in 0..8 {
            let _ = restored.apply(&cancelled(index));
        }
        assert_adds_up(&restored);
    }
}
