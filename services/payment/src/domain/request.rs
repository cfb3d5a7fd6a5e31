//! What is asked of the gateway.

use events::values::{Money, OrderId, PaymentMethod};

use super::{Goal, Operation, Payment};

/// A call to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Our number for it.
    pub order_id: OrderId,
    /// The idempotency key: payment, operation, generation. The same key again has no second effect.
    pub key: String,
    /// What is asked.
    pub call: Call,
}

/// What is asked of the gateway; the text is its own name for the authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Hold this amount.
    Authorize {
        /// How much.
        amount: Money,
        /// On what.
        method: PaymentMethod,
    },
    /// Take what is held.
    Capture(String),
    /// Let go of what is held.
    Void(String),
    /// Give back what was taken.
    Refund(String),
    /// Whether the capture under this key took place.
    FindCapture(String),
}

impl Call {
    /// The word in metrics.
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
    /// What to ask now; `None` when nothing is to be done. `unresolved`: the operation may have reached the gateway
    /// before.
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
            // Also when it is not wanted any more: the same key brings the first call's answer, and a call that is
            // still under way somewhere then finds its key taken. What is held is let go of next.
            Operation::Authorize => {
                Some(Call::Authorize { amount: self.amount, method: self.method.clone()? })
            }
            // Captured now, it would only have to be refunded.
            Operation::Capture if unresolved && self.goal == Goal::Reversed => held.map(Call::FindCapture),
            Operation::Capture => held.map(Call::Capture),
            Operation::Void => held.map(Call::Void),
            Operation::Refund => held.map(Call::Refund),
        }
    }
}
