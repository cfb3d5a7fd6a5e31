//! The calls to the gateway.

use events::values::{Money, OrderId, PaymentMethod};

use super::{Goal, Operation, Payment};

/// A call to the gateway with its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The merchant's reference: the order.
    pub order_id: OrderId,
    /// The idempotency key: payment, operation, generation. A repeated key has no second effect.
    pub key: String,
    /// The call.
    pub call: Call,
}

/// A call to the gateway; the text is the gateway's id of the authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Hold an amount.
    Authorize {
        /// The amount.
        amount: Money,
        /// The payment method.
        method: PaymentMethod,
    },
    /// Capture the held amount.
    Capture(String),
    /// Release the held amount.
    Void(String),
    /// Refund the captured amount.
    Refund(String),
    /// Find out whether the capture under this key took place.
    FindCapture(String),
}

impl Call {
    /// The name in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Authorize { .. } => <&str>::from(Operation::Authorize),
            Self::Capture(_) => <&str>::from(Operation::Capture),
            Self::Void(_) => <&str>::from(Operation::Void),
            Self::Refund(_) => <&str>::from(Operation::Refund),
            Self::FindCapture(_) => "find",
        }
    }
}

impl Payment {
    /// Returns the next request; `None` when there is nothing to do. `unresolved`: the operation may have reached the
    /// gateway before.
    pub fn request(&self, unresolved: bool) -> Option<Request> {
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
