//! The calls to the gateway, and their outcomes. Metrics show their strum names.

use events::DeclineReason;
use events::values::{Money, OrderId, PaymentMethod};
use strum::IntoStaticStr;

use super::{Goal, Operation, Payment};

/// A call to the gateway with its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The merchant's reference: the order.
    pub order_id: OrderId,
    /// The idempotency key: payment, operation, generation. A repeated key has no second effect.
    pub key: String,
    pub call: Call,
}

/// A call to the gateway; the text is the gateway's id of the authorization.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Call {
    Authorize {
        amount: Money,
        method: PaymentMethod,
    },
    Capture(String),
    Void(String),
    Refund(String),
    /// Find out whether the capture under this key took place.
    #[strum(serialize = "find")]
    FindCapture(String),
}

/// The outcome of a call.
pub(crate) type Outcome = Result<Answer, Failure>;

/// The gateway's answer.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Answer {
    /// The amount is held, under this id of the gateway.
    Authorized(String),
    /// The authorization is declined for good.
    Declined(DeclineReason),
    Captured,
    /// The capture is refused for good.
    #[strum(serialize = "refused")]
    CaptureRefused,
    /// A capture that may have been sent did not take place.
    NotCaptured,
    Voided,
    Refunded,
}

/// The reason why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Failure {
    /// An error that the gateway stores under the idempotency key: no effect, now or later. Another key may succeed.
    #[error("the gateway failed")]
    Failed,
    /// The gateway did not accept the call, so it has no effect. The key can be used again.
    #[error("the gateway is not available")]
    Unavailable,
    /// A timeout or a lost connection: the call may have had its effect, or may still have it.
    #[error("the outcome is not known")]
    Unknown,
}

impl Payment {
    /// Returns the next request; `None` when there is nothing to do. `unresolved`: the operation may have reached the
    /// gateway before.
    pub(crate) fn request(&self, unresolved: bool) -> Option<Request> {
        let operation = self.operation?;
        Some(Request {
            order_id: self.order_id,
            key: format!("{}:{}:{}", self.order_id, <&str>::from(operation), self.generation),
            call: self.call(operation, unresolved)?,
        })
    }

    fn call(&self, operation: Operation, unresolved: bool) -> Option<Call> {
        let held = self.gateway_id.clone();
        match operation {
            // Also after a cancellation: the same key returns the first call's answer, and a call that is still in flight
            // then finds its key used. The hold is voided next.
            Operation::Authorize => {
                Some(Call::Authorize { amount: self.amount, method: self.method.clone()? })
            }
            // A capture now would only have to be refunded.
            Operation::Capture if unresolved && self.goal == Goal::Reversed => held.map(Call::FindCapture),
            Operation::Capture => held.map(Call::Capture),
            Operation::Void => held.map(Call::Void),
            Operation::Refund => held.map(Call::Refund),
        }
    }
}
