//! The invariants of every order: first with models of payment and inventory, whose answers arrive late, twice and in any
//! order, then with random inputs.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A model of the payment service: it reaches its goal in steps, each with an event.
#[derive(Default)]
struct Payments {
    read: usize,
    state: Option<Payment>,
    published: VecDeque<Payment>,
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
        self.published.push_back(next);
    }
}

/// A model of the inventory service.
#[derive(Default)]
struct Inventory {
    read: usize,
    state: Option<Stock>,
    published: VecDeque<Stock>,
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
        self.published.push_back(next);
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    PaymentWorks,
    InventoryWorks,
    PaymentIsApplied { twice: bool },
    ReservationIsApplied { twice: bool },
    CustomerCancels,
    Expires,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::PaymentWorks),
        4 => Just(Step::InventoryWorks),
        4 => any::<bool>().prop_map(|twice| Step::PaymentIsApplied { twice }),
        4 => any::<bool>().prop_map(|twice| Step::ReservationIsApplied { twice }),
        1 => Just(Step::CustomerCancels),
        1 => Just(Step::Expires),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_ends_with_money_and_goods_where_they_belong(
        declines: bool, capture_fails: bool, rejects: bool,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let (mut shop, mut payments, mut inventory) = (Shop::open(), Payments::default(), Inventory::default());
        // In the end every service works until nothing moves.
        let rest = [
            Step::PaymentWorks, Step::InventoryWorks,
            Step::PaymentIsApplied { twice: false }, Step::ReservationIsApplied { twice: false },
        ];
        for step in steps.into_iter().chain(rest.into_iter().cycle().take(40)) {
            match step {
                Step::PaymentWorks => payments.work(&shop.published, declines, capture_fails),
                Step::InventoryWorks => inventory.work(&shop.published, rejects),
                Step::PaymentIsApplied { twice } => if let Some(answer) = payments.published.pop_front() {
                    for _ in 0..=usize::from(twice) {
                        shop.after(|order| order.apply_payment(&payment_event(answer), NOW));
                    }
                },
                Step::ReservationIsApplied { twice } => if let Some(answer) = inventory.published.pop_front() {
                    for _ in 0..=usize::from(twice) {
                        shop.after(|order| order.apply_reservation(&stock_event(answer), NOW));
                    }
                },
                Step::CustomerCancels => shop.after(|order| order.cancel(NOW)),
                Step::Expires => shop.after(|order| order.expire(NOW)),
            }
        }
        shop.assert_history_is_sound();
        let State { status, payment, stock } = shop.order.state;
        prop_assert_eq!((Some(payment), Some(stock)), (payments.state, inventory.state), "all events are applied");
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
    fn no_input_breaks_an_order(inputs in prop::collection::vec(0_usize..13, 0..40)) {
        let payments = [
            Payment::Authorized, Payment::Failed, Payment::Captured,
            Payment::Declined, Payment::Voided, Payment::Refunded,
        ];
        let stocks = [Stock::Reserved, Stock::Committed, Stock::Rejected, Stock::Released];
        let mut shop = Shop::open();
        for input in inputs {
            shop.after(|order| match input {
                0..6 => order.apply_payment(&payment_event(payments[input]), NOW),
                6..10 => order.apply_reservation(&stock_event(stocks[input - 6]), NOW),
                10 | 11 => order.cancel(NOW),
                _ => order.expire(NOW),
            });
        }
        shop.assert_history_is_sound();
    }
}
