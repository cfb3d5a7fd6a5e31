//! The state machine of an order: state × event → state, and what is decided on the way. A table in code, without data.
//!
//! Payment and inventory answer in either order, late, or twice; their answers only ever move the order's `payment` and
//! `stock` forward, whatever its status. The status decides once both answers are in:
//!
//! | what happens | placed | confirmed | cancelled |
//! |---|---|---|---|
//! | first answer: authorized or declined, reserved or rejected | placed | – | cancelled |
//! | second answer, now authorized and reserved | **confirmed** ⇒ `order.confirmed` | – | cancelled |
//! | second answer, now rejected (authorized or declined) | **cancelled**, `out_of_stock` ⇒ `order.cancelled` | – | cancelled |
//! | second answer, now declined and reserved | **cancelled**, `payment_declined` ⇒ `order.cancelled` | – | cancelled |
//! | the customer cancels | **cancelled**, `customer_request` ⇒ `order.cancelled` | **cancelled**, `customer_request` ⇒ `order.cancelled` | cancelled |
//! | the time is over | **cancelled**; the refusal that did come is the reason, else `expired` ⇒ `order.cancelled` | confirmed | cancelled |
//! | captured, committed | – | confirmed | cancelled |
//! | capture failed for good | – | **cancelled**, `payment_failed` ⇒ `order.cancelled` | cancelled |
//! | declined after all, voided or refunded | – | **cancelled**, `payment_failed` ⇒ `order.cancelled` | cancelled |
//! | rejected after all, released | – | **cancelled**, `out_of_stock` ⇒ `order.cancelled` | cancelled |
//!
//! – does not happen; if it does (a restored database, a redrive), only `payment` and `stock` move. The last two rows
//! happen to a confirmed order only after a database was restored from an older copy: money and goods went back
//! for a cancellation that order, payment or inventory no longer knows, and so the order follows them.

use events::CancelReason;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// Waits for payment and inventory.
    Placed,
    /// Both said yes.
    Confirmed,
    /// Will not be fulfilled.
    Cancelled(CancelReason),
}

/// What became of the money, as far as it is known here. Only ever moves down this list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Payment {
    /// No answer yet.
    Pending,
    /// Held.
    Authorized,
    /// Held, and could not be captured; will be voided.
    Failed,
    /// Ours.
    Captured,
    /// Refused; nothing was held.
    Declined,
    /// The hold is gone, or never was.
    Voided,
    /// Went back.
    Refunded,
}

/// What became of the goods, as far as it is known here. Only ever moves down this list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Stock {
    /// No answer yet.
    Pending,
    /// Set aside.
    Reserved,
    /// Left the shelf.
    Committed,
    /// At least one line was short; nothing was set aside.
    Rejected,
    /// Can be sold again.
    Released,
}

/// An order's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// What was decided.
    pub(crate) status: Status,
    /// What payment said last.
    pub(crate) payment: Payment,
    /// What inventory said last.
    pub(crate) stock: Stock,
}

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// Payment answered.
    Paid(Payment),
    /// Inventory answered.
    Stocked(Stock),
    /// The customer, or the operator for them, cancels.
    CancelledByCustomer,
    /// The time to wait is over.
    TimeOver,
}

/// What a step decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It will be fulfilled.
    Confirm,
    /// It will not.
    Cancel(CancelReason),
}

impl Status {
    /// Returns the status that a database stores as `text` and `reason`; `None` when they contradict each other.
    pub(crate) fn from_columns(text: &str, reason: Option<CancelReason>) -> Option<Self> {
        let cancelled = reason.map(Self::Cancelled);
        let possible = cancelled.map_or(vec![Self::Placed, Self::Confirmed], |cancelled| vec![cancelled]);
        possible.into_iter().find(|status| <&str>::from(status) == text)
    }
}

impl State {
    /// Of an order that was just placed.
    pub(crate) const PLACED: Self =
        Self { status: Status::Placed, payment: Payment::Pending, stock: Stock::Pending };

    /// The state after `happening`, and the decision if this was what it waited for.
    pub(crate) fn step(self, happening: Happening) -> (Self, Option<Decision>) {
        let (mut payment, mut stock) = (self.payment, self.stock);
        match happening {
            Happening::Paid(answer) => payment = payment.max(answer),
            Happening::Stocked(answer) => stock = stock.max(answer),
            Happening::CancelledByCustomer | Happening::TimeOver => {}
        }
        let moved = Self { payment, stock, ..self };
        let decision = moved.decide(happening);
        let status = match decision {
            Some(Decision::Confirm) => Status::Confirmed,
            Some(Decision::Cancel(reason)) => Status::Cancelled(reason),
            None => self.status,
        };
        (Self { status, ..moved }, decision)
    }

    fn decide(self, happening: Happening) -> Option<Decision> {
        use CancelReason::{CustomerRequest, Expired, OutOfStock, PaymentDeclined, PaymentFailed};
        let cancel = |reason| Some(Decision::Cancel(reason));
        match (self.status, happening) {
            (Status::Cancelled(_), _) => None,
            (_, Happening::CancelledByCustomer) => cancel(CustomerRequest),
            (Status::Confirmed, Happening::Paid(Payment::Failed)) => cancel(PaymentFailed),
            (Status::Confirmed, Happening::Paid(_)) if self.payment.answer() == Answer::No => {
                cancel(PaymentFailed)
            }
            (Status::Confirmed, Happening::Stocked(_)) if self.stock.answer() == Answer::No => {
                cancel(OutOfStock)
            }
            (Status::Confirmed, _) => None,
            (Status::Placed, _) => match (self.payment.answer(), self.stock.answer()) {
                (Answer::Yes, Answer::Yes) => Some(Decision::Confirm),
                (Answer::Yes | Answer::No, Answer::No) => cancel(OutOfStock),
                (Answer::No, Answer::Yes) => cancel(PaymentDeclined),
                (_, Answer::No) if happening == Happening::TimeOver => cancel(OutOfStock),
                (Answer::No, _) if happening == Happening::TimeOver => cancel(PaymentDeclined),
                _ if happening == Happening::TimeOver => cancel(Expired),
                _ => None,
            },
        }
    }
}

/// What an answer means for an order that waits for it.
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
