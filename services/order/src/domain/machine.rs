//! The state machine of an order, without its data: state and input give the next state and the decision.
//!
//! Payment and inventory answer in either order, late, or twice. Their answers only move the order's `payment` and `stock`
//! forward, in any status. The status changes once both answers have arrived (`⇒` names the published event):
//!
//! | input | placed | confirmed | cancelled |
//! |---|---|---|---|
//! | first answer: authorized or declined, reserved or rejected | placed | – | cancelled |
//! | second answer, now authorized and reserved | **confirmed** ⇒ `order.confirmed` | – | cancelled |
//! | second answer, now rejected (authorized or declined) | **cancelled**, `out_of_stock` ⇒ `order.cancelled` | – | cancelled |
//! | second answer, now declined and reserved | **cancelled**, `payment_declined` ⇒ `order.cancelled` | – | cancelled |
//! | the customer cancels | **cancelled**, `customer_request` ⇒ `order.cancelled` | **cancelled**, `customer_request` ⇒ `order.cancelled` | cancelled |
//! | the order expires | **cancelled**; the reason is the refusal that arrived, else `expired` ⇒ `order.cancelled` | confirmed | cancelled |
//! | captured, committed | – | confirmed | cancelled |
//! | capture failed for good | – | **cancelled**, `payment_failed` ⇒ `order.cancelled` | cancelled |
//! | declined after all, voided or refunded | – | **cancelled**, `payment_failed` ⇒ `order.cancelled` | cancelled |
//! | rejected after all, released | – | **cancelled**, `out_of_stock` ⇒ `order.cancelled` | cancelled |
//!
//! – does not occur. If it does (after a restore or a redrive), only `payment` and `stock` move. The last two rows occur for
//! a confirmed order only after a database was restored from an older copy: money and goods went back for a cancellation
//! that order, payment or inventory has lost, so the order is cancelled too.

use events::{CancelReason, PaymentEvent, ReservationEvent};
use serde::Serialize;
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// The status of an order. The database and the API have its strum name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The order waits for payment and inventory.
    Placed,
    /// The amount was authorized and the stock reserved.
    Confirmed,
    /// The order will not be fulfilled.
    Cancelled(CancelReason),
}

/// The last known state of the payment. It only moves down this list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Payment {
    /// No answer yet.
    Pending,
    /// The amount is held.
    Authorized,
    /// The capture failed for good; the hold will be voided.
    Failed,
    /// The amount is captured.
    Captured,
    /// Declined; nothing was held.
    Declined,
    /// Nothing is held any more, or ever was.
    Voided,
    /// The captured amount was refunded.
    Refunded,
}

/// The last known state of the stock reservation. It only moves down this list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stock {
    /// No answer yet.
    Pending,
    /// All lines are reserved.
    Reserved,
    /// The goods have left the shelf.
    Committed,
    /// At least one line was short, so none is reserved.
    Rejected,
    /// The goods can be sold again.
    Released,
}

/// An order's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The decided status.
    pub status: Status,
    /// The state of the payment.
    pub payment: Payment,
    /// The state of the reservation.
    pub stock: Stock,
}

/// An input of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A new state of the payment.
    Payment(Payment),
    /// A new state of the reservation.
    Stock(Stock),
    /// A cancellation by the customer, or by an operator for them.
    CancelledByCustomer,
    /// The end of the time to wait for answers.
    Expired,
}

/// The new state of the payment that its event names.
impl From<&PaymentEvent> for Input {
    fn from(event: &PaymentEvent) -> Self {
        Self::Payment(match event {
            PaymentEvent::Authorized(_) => Payment::Authorized,
            PaymentEvent::Declined(_) => Payment::Declined,
            PaymentEvent::Captured(_) => Payment::Captured,
            PaymentEvent::CaptureFailed(_) => Payment::Failed,
            PaymentEvent::Voided(_) => Payment::Voided,
            PaymentEvent::Refunded(_) => Payment::Refunded,
        })
    }
}

/// The new state of the reservation that its event names.
impl From<&ReservationEvent> for Input {
    fn from(event: &ReservationEvent) -> Self {
        Self::Stock(match event {
            ReservationEvent::Reserved(_) => Stock::Reserved,
            ReservationEvent::Rejected(_) => Stock::Rejected,
            ReservationEvent::Committed(_) => Stock::Committed,
            ReservationEvent::Released(_) => Stock::Released,
        })
    }
}

/// The decision of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Confirm the order.
    Confirm,
    /// Cancel the order.
    Cancel(CancelReason),
}

impl Status {
    /// Returns the status that a database stores as `text` and `reason`; `None` when they contradict each other.
    pub fn from_columns(text: &str, reason: Option<CancelReason>) -> Option<Self> {
        let cancelled = reason.map(Self::Cancelled);
        let possible = cancelled.map_or(vec![Self::Placed, Self::Confirmed], |cancelled| vec![cancelled]);
        possible.into_iter().find(|status| <&str>::from(status) == text)
    }
}

impl State {
    /// The state of a new order.
    pub const PLACED: Self =
        Self { status: Status::Placed, payment: Payment::Pending, stock: Stock::Pending };

    /// Returns the state after `input`, and the decision if there is one.
    pub fn step(self, input: Input) -> (Self, Option<Decision>) {
        let (mut payment, mut stock) = (self.payment, self.stock);
        match input {
            Input::Payment(answer) => payment = payment.max(answer),
            Input::Stock(answer) => stock = stock.max(answer),
            Input::CancelledByCustomer | Input::Expired => {}
        }
        let moved = Self { payment, stock, ..self };
        let decision = moved.decide(input);
        let status = match decision {
            Some(Decision::Confirm) => Status::Confirmed,
            Some(Decision::Cancel(reason)) => Status::Cancelled(reason),
            None => self.status,
        };
        (Self { status, ..moved }, decision)
    }

    fn decide(self, input: Input) -> Option<Decision> {
        use CancelReason::{CustomerRequest, Expired, OutOfStock, PaymentDeclined, PaymentFailed};
        let cancel = |reason| Some(Decision::Cancel(reason));
        match (self.status, input) {
            (Status::Cancelled(_), _) => None,
            (_, Input::CancelledByCustomer) => cancel(CustomerRequest),
            (Status::Confirmed, Input::Payment(Payment::Failed)) => cancel(PaymentFailed),
            (Status::Confirmed, Input::Payment(_)) if self.payment.answer() == Answer::No => {
                cancel(PaymentFailed)
            }
            (Status::Confirmed, Input::Stock(_)) if self.stock.answer() == Answer::No => cancel(OutOfStock),
            (Status::Confirmed, _) => None,
            (Status::Placed, _) => match (self.payment.answer(), self.stock.answer()) {
                (Answer::Yes, Answer::Yes) => Some(Decision::Confirm),
                (Answer::Yes | Answer::No, Answer::No) => cancel(OutOfStock),
                (Answer::No, Answer::Yes) => cancel(PaymentDeclined),
                (_, Answer::No) if input == Input::Expired => cancel(OutOfStock),
                (Answer::No, _) if input == Input::Expired => cancel(PaymentDeclined),
                _ if input == Input::Expired => cancel(Expired),
                _ => None,
            },
        }
    }
}

/// The meaning of a state for an order that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    Yes,
    No,
}

impl Payment {
    fn answer(self) -> Answer {
        match self {
            Self::Pending => Answer::Awaited,
            Self::Authorized | Self::Captured => Answer::Yes,
            Self::Declined | Self::Failed | Self::Voided | Self::Refunded => Answer::No,
        }
    }
}

impl Stock {
    fn answer(self) -> Answer {
        match self {
            Self::Pending => Answer::Awaited,
            Self::Reserved | Self::Committed => Answer::Yes,
            Self::Rejected | Self::Released => Answer::No,
        }
    }
}
