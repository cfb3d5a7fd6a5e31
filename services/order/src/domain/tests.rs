//! The decisions, by example; the invariants are in [`properties`].

mod properties;
mod restored;

use super::*;
use events::values::{CustomerId, Money};
use events::{
    Item, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded,
    PaymentVoided, StockCommitted, StockRejected, StockReleased, StockReserved,
};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn euros(amount: i64) -> Money {
    Money { amount, currency: "EUR".parse().unwrap() }
}

/// The order of the tests.
pub(crate) fn placed() -> OrderPlaced {
    OrderPlaced {
        order_id: OrderId::new(NOW),
        customer_id: CustomerId::random(),
        items: vec![Item {
            sku: "MUG".parse().unwrap(),
            name: "Mug".parse().unwrap(),
            quantity: 2.try_into().unwrap(),
            unit_price: euros(500),
        }],
        total: euros(1000),
        payment_method: "pm_card_visa".parse().unwrap(),
        notify_me: true,
        claim: None,
        placed_at: NOW,
    }
}

fn payment_event(payment: Payment) -> PaymentEvent {
    let (order_id, amount) = (OrderId::new(NOW), euros(1000));
    match payment {
        Payment::Pending | Payment::Authorized => {
            PaymentEvent::Authorized(PaymentAuthorized { order_id, amount, gateway_id: None })
        }
        Payment::Failed => PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, amount }),
        Payment::Captured => PaymentEvent::Captured(PaymentCaptured { order_id, amount }),
        Payment::Declined => {
            let reason = events::DeclineReason::CardDeclined;
            PaymentEvent::Declined(PaymentDeclined { order_id, amount, reason })
        }
        Payment::Voided => PaymentEvent::Voided(PaymentVoided { order_id, amount }),
        Payment::Refunded => PaymentEvent::Refunded(PaymentRefunded { order_id, amount }),
    }
}

fn stock_event(stock: Stock) -> ReservationEvent {
    let (order_id, lines) = (OrderId::new(NOW), Vec::new());
    match stock {
        Stock::Pending | Stock::Reserved => ReservationEvent::Reserved(StockReserved { order_id, lines }),
        Stock::Committed => ReservationEvent::Committed(StockCommitted { order_id, lines }),
        Stock::Rejected => {
            let short =
                ShortLine { sku: "MUG".parse().unwrap(), wanted: 2.try_into().unwrap(), available: 1 };
            ReservationEvent::Rejected(StockRejected { order_id, short: vec![short] })
        }
        Stock::Released => ReservationEvent::Released(StockReleased { order_id, lines }),
    }
}

/// An order and its published events.
struct Shop {
    order: Order,
    published: Vec<OrderEvent>,
}

impl Shop {
    fn open() -> Self {
        let (order, event) = Order::place(placed());
        Self { order, published: vec![event] }
    }

    /// Applies an input and checks the invariants of a single step.
    fn after(&mut self, input: impl FnOnce(&mut Order) -> Option<OrderEvent>) {
        let before = self.order.clone();
        let event = input(&mut self.order);
        let steps = if event.is_some() { before.version.next() } else { before.version };
        assert_eq!(self.order.version, steps, "one version per event, without a gap");
        assert!(
            self.order.state.payment >= before.state.payment && self.order.state.stock >= before.state.stock
        );
        let is_published = event.is_some();
        self.published.extend(event);
        assert_eq!(
            is_published,
            before.state.status != self.order.state.status,
            "the status changes if, and only if, an event is published"
        );
    }

    /// An order is placed, at most once confirmed, and at most once and finally cancelled.
    fn assert_history_is_sound(&self) {
        let published: Vec<&str> = self.published.iter().map(name).collect();
        let chains: [&[&str]; 4] = [
            &["placed"],
            &["placed", "confirmed"],
            &["placed", "cancelled"],
            &["placed", "confirmed", "cancelled"],
        ];
        assert!(chains.contains(&published.as_slice()), "{published:?}");
        assert_eq!(<&str>::from(self.order.state.status), *published.last().unwrap());
        assert_eq!(self.order.version.to_i64(), i64::try_from(published.len()).unwrap());
        let own = self.order.entries.iter().filter(|entry| entry.event_type.starts_with("order."));
        assert_eq!(own.count(), published.len());
        let rebuilt = self.order.published();
        let sequences: Vec<i64> = rebuilt.iter().map(|(sequence, ..)| sequence.to_i64()).collect();
        assert!(sequences.into_iter().eq((1..).take(published.len())));
        let rebuilt: Vec<OrderEvent> = rebuilt.into_iter().map(|(.., event)| event).collect();
        assert_eq!(rebuilt, self.published, "the rebuilt events are the published ones");
    }
}

fn name(event: &OrderEvent) -> &'static str {
    match event {
        OrderEvent::Placed(_) => "placed",
        OrderEvent::Confirmed(_) => "confirmed",
        OrderEvent::Cancelled(_) => "cancelled",
    }
}

/// The reason of the cancellation, or else the status, after these inputs.
fn outcome(
    payment: Option<Payment>,
    stock: Option<Stock>,
    ends: Option<fn(&mut Order) -> Option<OrderEvent>>,
) -> String {
    let mut shop = Shop::open();
    if let Some(answer) = payment {
        shop.after(|order| order.apply_payment(&payment_event(answer), NOW));
    }
    if let Some(answer) = stock {
        shop.after(|order| order.apply_reservation(&stock_event(answer), NOW));
    }
    if let Some(end) = ends {
        shop.after(end);
    }
    shop.order.reason().map_or(<&str>::from(shop.order.state.status), <&str>::from).to_owned()
}

#[test]
fn the_decisions_follow_the_table() {
    use Payment::{Authorized, Declined};
    use Stock::{Rejected, Reserved};
    let expires: Option<fn(&mut Order) -> Option<OrderEvent>> = Some(|order| order.expire(NOW));
    let cancels: Option<fn(&mut Order) -> Option<OrderEvent>> = Some(|order| order.cancel(NOW));
    let fails: Option<fn(&mut Order) -> Option<OrderEvent>> =
        Some(|order| order.apply_payment(&payment_event(Payment::Failed), NOW));
    for (payment, stock, end, expected) in [
        (Some(Authorized), Some(Reserved), None, "confirmed"),
        (Some(Authorized), Some(Rejected), None, "out_of_stock"),
        (Some(Declined), Some(Rejected), None, "out_of_stock"),
        (Some(Declined), Some(Reserved), None, "payment_declined"),
        (Some(Declined), None, None, "placed"),
        (None, Some(Rejected), None, "placed"),
        (Some(Declined), None, expires, "payment_declined"),
        (None, Some(Rejected), expires, "out_of_stock"),
        (None, None, expires, "expired"),
        (Some(Authorized), None, expires, "expired"),
        (Some(Authorized), Some(Reserved), expires, "confirmed"),
        (Some(Authorized), Some(Reserved), cancels, "customer_request"),
        (Some(Declined), None, cancels, "customer_request"),
        (Some(Authorized), Some(Reserved), fails, "payment_failed"),
    ] {
        assert_eq!(outcome(payment, stock, end), expected, "{payment:?} {stock:?}");
    }
}

#[test]
fn only_a_sold_out_order_names_what_was_short() {
    let mut shop = Shop::open();
    shop.after(|order| order.apply_reservation(&stock_event(Stock::Rejected), NOW));
    let mut cancelled = shop.order.clone();
    let Some(OrderEvent::Cancelled(event)) = cancelled.cancel(NOW) else { panic!("not cancelled") };
    assert!(event.short.is_empty());
    let Some(OrderEvent::Cancelled(event)) = shop.order.expire(NOW) else { panic!("not cancelled") };
    assert_eq!((event.reason, event.short.len(), event.notify_me), (CancelReason::OutOfStock, 1, true));
}

#[test]
fn a_status_is_read_from_its_columns() {
    for (text, reason) in
        [("placed", None), ("confirmed", None), ("cancelled", Some(CancelReason::OutOfStock))]
    {
        let status = Status::from_columns(text, reason).unwrap();
        assert_eq!(<&str>::from(status), text);
    }
    assert_eq!(Status::from_columns("cancelled", None), None);
    assert_eq!(Status::from_columns("placed", Some(CancelReason::Expired)), None);
}
