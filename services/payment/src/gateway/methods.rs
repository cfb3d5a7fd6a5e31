//! The gateway's behaviour for each payment method: Stripe's test methods, and some that fail in other ways.

use events::DeclineReason;

/// A method that is authorized and never captured.
pub(super) const CAPTURE_FAILS: &str = "pm_captureFails";
/// The ledger's answer for a held amount; a declined one has the reason instead.
pub(super) const AUTHORIZED: &str = "authorized";

/// The gateway's behaviour when a method is authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// The reason why it is declined; `None`: it is authorized.
    pub declined: Option<DeclineReason>,
    /// The number of requests that fail first, each for good under its key.
    pub failures: i32,
    /// Whether the first answer is lost, although the ledger has it.
    pub times_out: bool,
}

impl Behaviour {
    /// Returns the behaviour of a payment method; an unknown method is declined.
    pub(super) fn of(method: &str) -> Self {
        let authorized = Self { declined: None, failures: 0, times_out: false };
        let declined = |reason| Self { declined: Some(reason), ..authorized };
        match method {
            "pm_card_visa" | CAPTURE_FAILS => authorized,
            "pm_timeout" => Self { times_out: true, ..authorized },
            "pm_flaky" => Self { failures: 2, ..authorized },
            "pm_card_chargeDeclined" => declined(DeclineReason::CardDeclined),
            "pm_card_chargeDeclinedInsufficientFunds" => declined(DeclineReason::InsufficientFunds),
            _ => declined(DeclineReason::UnknownMethod),
        }
    }

    /// Returns the answer as the ledger stores it.
    pub(super) fn answer(self) -> &'static str {
        self.declined.map_or(AUTHORIZED, <&str>::from)
    }
}
