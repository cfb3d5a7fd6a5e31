//! The outcomes of a call to the gateway. Metrics show their strum names.

use events::DeclineReason;
use strum::IntoStaticStr;

/// The outcome of a call.
pub type Outcome = Result<Answer, Failure>;

/// The gateway's answer.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// The amount is held, under this id of the gateway.
    Authorized(String),
    /// The authorization is declined for good.
    Declined(DeclineReason),
    /// The amount is captured.
    Captured,
    /// The capture is refused for good.
    #[strum(serialize = "refused")]
    CaptureRefused,
    /// A capture that may have been sent did not take place.
    NotCaptured,
    /// The hold is released.
    Voided,
    /// The amount is refunded.
    Refunded,
}

/// The reason why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
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
