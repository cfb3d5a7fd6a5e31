//! What holds for every order, whatever happens to it and in whichever order: first with two honest neighbours whose
//! answers come late, twice and in any order, then with no rules at all.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// The payment service in short: a goal that only rises, reached in steps, each with its event.
#[derive(Default)]
struct Payments {
    read: usize,
    state: Option<Payment>,
    told: VecDeque<Payment>,
}

impl Payments {
    fn work(&mut self, published: &[OrderEvent], declines: bool, capture_fails: bool) {
        let Some(event) = published.get(self.read) else { return };
        self.read += 1;
        let next = match (event, self.state) {
            (OrderEvent::Placed(_), None) if declines => Payment::Declined,
            (OrderEvent::Placed(_), None) => Payment::Authorized,
            (OrderEvent::Confirmed(_), Some(Payment::Authorized)) if capture_fails => Payment::Failed,
            (OrderEvent::Confirmed(_), Some(Payment::Authorized)) => Payment::Captured,
            (OrderEvent::Cancelled(_), None | Some(Payment::Authorized | Payment::Failed)) => Payment::Voided,
            (OrderEvent::Cancelled(_), Some(Payment::Captured)) => Payment::Refunded,
            _ => return,
        };
        self.state = Some(next);
        self.told.push_back(next);
    }
}

/// The inventory service in short.
#[derive(Default)]
struct Inventory {
    read: usize,
    state: Option<Stock>,
    told: VecDeque<Stock>,
}

impl Inventory {
    fn work(&mut self, published: &[OrderEvent], rejects: bool) {
        let Some(event) = published.get(self.read) else { return };
        self.read += 1;
        let next = match (event, self.state) {
            (OrderEvent::Placed(_), None) if rejects => Stock::Rejected,
            (OrderEvent::Placed(_), None) => Stock::Reserved,
            (OrderEvent::Confirmed(_), Some(Stock::Reserved)) => Stock::Committed,
            (OrderEvent::Cancelled(_), None | Some(Stock::Reserved | Stock::Committed)) => Stock::Released,
            _ => return,
        };
        self.state = Some(next);
        self.told.push_back(next);
    }
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    PaymentWorks,
    InventoryWorks,
    PaymentIsHeard { twice: bool },
    InventoryIsHeard { twice: bool },
    CustomerCancels,
    TimeIsOver,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::PaymentWorks),
        4 => Just(Turn::InventoryWorks),
        4 => any::<bool>().prop_map(|twice| Turn::PaymentIsHeard { twice }),
        4 => any::<bool>().prop_map(|twice| Turn::InventoryIsHeard { twice }),
        1 => Just(Turn::CustomerCancels),
        1 => Just(Turn::TimeIsOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_ends_with_money_and_goods_where_they_belong(
        declines: bool, capture_fails: bool, rejects: bool,
        turns in prop::collection::vec(turn(), 0..40),
    ) {
        let (mut shop, mut payments, mut inventory) = (Shop::open(), Payments::default(), Inventory::default());
        // In the end everyone works and is heard until nothing moves.
        let rest = [
            Turn::PaymentWorks, Turn::InventoryWorks,
            Turn::PaymentIsHeard { twice: false }, Turn::InventoryIsHeard { twice: false },
        ];
        for turn in turns.into_iter().chain(rest.into_iter().cycle().take(40)) {
            match turn {
                Turn::PaymentWorks => payments.work(&shop.published, declines, capture_fails),
                Turn::InventoryWorks => inventory.work(&shop.published, rejects),
                Turn::PaymentIsHeard { twice } => if let Some(answer) = payments.told.pop_front() {
                    for _ in 0..=usize::from(twice) {
                        shop.after(|order| order.hear_payment(&payment_event(answer), NOW));
                    }
                },
                Turn::InventoryIsHeard { twice } => if let Some(answer) = inventory.told.pop_front() {
                    for _ in 0..=usize::from(twice) {
                        shop.after(|order| order.hear_reservation(&stock_event(answer), NOW));
                    }
                },
                Turn::CustomerCancels => shop.after(|order| order.cancel(NOW)),
                Turn::TimeIsOver => shop.after(|order| order.expire(NOW)),
            }
        }
        shop.assert_history_is_sound();
        let State { status, payment, stock } = shop.order.state;
        prop_assert_eq!((Some(payment), Some(stock)), (payments.state, inventory.state), "all is heard");
        match status {
            Status::Placed => prop_assert!(false, "still waiting"),
            Status::Confirmed => {
                prop_assert_eq!((payment, stock), (Payment::Captured, Stock::Committed));
            }
            Status::Cancelled(reason) => {
                prop_assert!(matches!(payment, Payment::Declined | Payment::Voided | Payment::Refunded));
                prop_assert!(matches!(stock, Stock::Rejected | Stock::Released));
                prop_assert!(reason != CancelReason::PaymentFailed || payment == Payment::Voided);
                prop_assert!(reason != CancelReason::OutOfStock || stock == Stock::Rejected);
                prop_assert!(reason != CancelReason::PaymentDeclined || payment == Payment::Declined);
            }
        }
    }

    #[test]
    fn nothing_that_happens_breaks_an_order(happenings in prop::collection::vec(0_usize..13, 0..40)) {
        let payments = [
            Payment::Authorized, Payment::Failed, Payment::Captured,
            Payment::Declined, Payment::Voided, Payment::Refunded,
        ];
        let stocks = [Stock::Reserved, Stock::Committed, Stock::Rejected, Stock::Released];
        let mut shop = Shop::open();
        for happening in happenings {
            shop.after(|order| match happening {
                0..6 => order.hear_payment(&payment_event(payments[happening]), NOW),
                6..10 => order.hear_reservation(&stock_event(stocks[happening - 6]), NOW),
                10 | 11 => order.cancel(NOW),
                _ => order.expire(NOW),
            });
        }
        shop.assert_history_is_sound();
    }
}
