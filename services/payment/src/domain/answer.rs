//! What a call to the gateway can bring.

use events::DeclineReason;
use strum::IntoStaticStr;

/// How a call ended.
pub type Outcome = Result<Answer, Failure>;

/// What the gateway says has happened to the money.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// The amount is held, under this name.
    Authorized(String),
    /// Refused for good.
    Declined(DeclineReason),
    /// The money was taken.
    Captured,
    /// It will not let us take it, ever.
    #[strum(serialize = "refused")]
    CaptureRefused,
    /// A capture that may have been sent did not take place.
    NotCaptured,
    /// Nothing is held any more.
    Voided,
    /// The money went back.
    Refunded,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
    /// An error that the gateway keeps under the idempotency key: no effect, now or later. Another key may do better.
    #[error("the gateway failed")]
    Failed,
    /// The gateway took nothing in: this call has no effect. The key is as good as before.
    #[error("the gateway is not available")]
    Unavailable,
    /// A time-out, a lost connection: the call may have had its effect, or may still have it.
    #[error("the outcome is not known")]
    Unknown,
}
