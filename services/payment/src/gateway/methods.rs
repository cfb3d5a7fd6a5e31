//! What the gateway does with each payment method: Stripe's test methods, and some that misbehave.

use events::DeclineReason;

/// Authorizes, and never captures.
pub(super) const CAPTURE_FAILS: &str = "pm_captureFails";

/// How an authorization on a method goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// Why it is declined; `None`: it is authorized.
    pub declined: Option<DeclineReason>,
    /// So many requests fail first, each for good under its key.
    pub failures: i32,
    /// The first answer does not come, though it is in the books.
    pub times_out: bool,
}

const AUTHORIZED: &str = "authorized";
const CARD_DECLINED: &str = "card_declined";
const INSUFFICIENT_FUNDS: &str = "insufficient_funds";
const UNKNOWN_METHOD: &str = "unknown_method";

impl Behaviour {
    /// The behaviour of a payment method; one that is not known is declined.
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

    /// The answer as the books keep it.
    pub(super) fn answer(self) -> &'static str {
        match self.declined {
            None => AUTHORIZED,
            Some(DeclineReason::CardDeclined) => CARD_DECLINED,
            Some(DeclineReason::InsufficientFunds) => INSUFFICIENT_FUNDS,
            Some(DeclineReason::UnknownMethod | DeclineReason::Unknown) => UNKNOWN_METHOD,
        }
    }

    /// The reason that the books keep for an authorization that was declined.
    pub(super) fn reason(answer: &str) -> DeclineReason {
        match answer {
            CARD_DECLINED => DeclineReason::CardDeclined,
            INSUFFICIENT_FUNDS => DeclineReason::InsufficientFunds,
            UNKNOWN_METHOD => DeclineReason::UnknownMethod,
            _ => DeclineReason::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_back_from_the_books() {
        for (method, reason) in [
            ("pm_card_chargeDeclined", DeclineReason::CardDeclined),
            ("pm_card_chargeDeclinedInsufficientFunds", DeclineReason::InsufficientFunds),
            ("pm_card_VISA", DeclineReason::UnknownMethod),
        ] {
            let behaviour = Behaviour::of(method);
            assert_eq!(behaviour.declined, Some(reason));
            assert_eq!(Behaviour::reason(behaviour.answer()), reason);
        }
        assert_eq!(Behaviour::of("pm_flaky").answer(), AUTHORIZED);
    }
}
