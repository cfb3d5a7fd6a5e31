//! The state machine: goal and status give the next operation, and a call's outcome gives the next status.

use events::values::Money;
use events::{
    DeclineReason, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentEvent,
    PaymentRefunded, PaymentVoided,
};
use time::OffsetDateTime;

use super::{Answer, Failure, Goal, Operation, Outcome, Payment, Status};

impl Payment {
    /// Moves the goal forward, never back. Returns the event that follows without a call to the gateway.
    pub(super) fn pursue(&mut self, goal: Goal, now: OffsetDateTime) -> Option<PaymentEvent> {
        self.goal = self.goal.max(goal);
        let event = self.plan();
        event.inspect(|event| self.record(event, now))
    }

    /// Applies a call's outcome and returns the event to publish. `unresolved`: the operation may have reached the gateway
    /// before that call.
    pub(crate) fn resolve(
        &mut self,
        unresolved: bool,
        outcome: Outcome,
        now: OffsetDateTime,
    ) -> Option<PaymentEvent> {
        let answered = match outcome {
            Ok(answer) => {
                self.started = false;
                self.failures = 0;
                self.accept(answer)
            }
            Err(failure) => {
                self.fail(failure, unresolved);
                None
            }
        };
        let closed = self.plan();
        answered.or(closed).inspect(|event| self.record(event, now))
    }

    fn fail(&mut self, failure: Failure, unresolved: bool) {
        self.failures = self.failures.saturating_add(1);
        match failure {
            // The key is used up: an earlier call under it got, or will get, the same answer.
            Failure::Failed => {
                self.generation = self.generation.saturating_add(1);
                self.started = self.is_held_without_id();
            }
            // This failure does not resolve an earlier call.
            Failure::Unavailable => self.started = unresolved,
            Failure::Unknown => self.started = true,
        }
    }

    /// Chooses the next operation from goal and status, unless one is open. A reversal needs no call when the gateway has
    /// nothing.
    pub(super) fn plan(&mut self) -> Option<PaymentEvent> {
        if self.started {
            return None;
        }
        let next = match (self.goal, self.status) {
            (Goal::Authorized | Goal::Captured, Status::Pending) => Some(Operation::Authorize),
            (Goal::Captured, Status::Authorized) => Some(Operation::Capture),
            (Goal::Reversed, Status::Authorized | Status::CaptureFailed) => Some(Operation::Void),
            (Goal::Reversed, Status::Captured) => Some(Operation::Refund),
            // The goal is reached, or it cannot be reached and the order will be cancelled.
            _ => None,
        };
        if next != self.operation {
            self.operation = next;
            self.failures = 0;
        }
        if (self.goal, self.status) != (Goal::Reversed, Status::Pending) {
            return None;
        }
        self.status = Status::Voided;
        Some(self.voided())
    }

    fn accept(&mut self, answer: Answer) -> Option<PaymentEvent> {
        let mut reason = DeclineReason::Unknown;
        self.status = match answer {
            Answer::Authorized(gateway_id) => {
                self.gateway_id = Some(gateway_id);
                Status::Authorized
            }
            Answer::Declined(declined) => {
                reason = declined;
                Status::Declined
            }
            // Also when a void came too late: a capture with an unknown outcome did take place.
            Answer::Captured => Status::Captured,
            Answer::CaptureRefused => Status::CaptureFailed,
            Answer::NotCaptured => return None,
            Answer::Voided => Status::Voided,
            Answer::Refunded => Status::Refunded,
        };
        self.event(self.status, reason)
    }

    /// Returns the event that publishes `status`; `reason` is that of a declined payment.
    pub(super) fn event(&self, status: Status, reason: DeclineReason) -> Option<PaymentEvent> {
        let (order_id, amount, gateway_id) = (self.order_id, self.amount, self.gateway_id.clone());
        match status {
            Status::Pending => None,
            Status::Authorized => {
                Some(PaymentEvent::Authorized(PaymentAuthorized { order_id, amount, gateway_id }))
            }
            Status::Declined => Some(PaymentEvent::Declined(PaymentDeclined { order_id, amount, reason })),
            Status::Captured => Some(PaymentEvent::Captured(PaymentCaptured { order_id, amount })),
            Status::CaptureFailed => {
                Some(PaymentEvent::CaptureFailed(PaymentCaptureFailed { order_id, amount }))
            }
            Status::Voided => Some(self.voided()),
            Status::Refunded => Some(PaymentEvent::Refunded(PaymentRefunded { order_id, amount })),
        }
    }

    /// The event of a void: with the whole amount, or 0 when nothing was ever held.
    pub(super) fn voided(&self) -> PaymentEvent {
        let amount = match self.gateway_id {
            Some(_) => self.amount,
            None => Money::zero(self.amount.currency),
        };
        PaymentEvent::Voided(PaymentVoided { order_id: self.order_id, amount })
    }
}
