//! The states as words: one for the database and for callers, the same as serde writes.

use events::CancelReason;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use super::{Payment, Status, Stock};

/// A state that is one word.
pub(crate) trait Word: DeserializeOwned {
    /// The word.
    fn word(self) -> &'static str;

    /// Reads what [`word`](Self::word) wrote.
    fn read(word: &str) -> Result<Self, Error> {
        Self::deserialize(StrDeserializer::new(word))
    }
}

impl Word for Payment {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Failed => "failed",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }
}

impl Word for Stock {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Committed => "committed",
            Self::Rejected => "rejected",
            Self::Released => "released",
        }
    }
}

impl Word for CancelReason {
    fn word(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::PaymentDeclined => "payment_declined",
            Self::PaymentFailed => "payment_failed",
            Self::CustomerRequest => "customer_request",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

impl Status {
    /// The word, without the reason of a cancellation.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// From the word and the reason; `None`: they do not go together.
    pub(crate) fn of(word: &str, reason: Option<CancelReason>) -> Option<Self> {
        match (word, reason) {
            ("placed", None) => Some(Self::Placed),
            ("confirmed", None) => Some(Self::Confirmed),
            ("cancelled", Some(reason)) => Some(Self::Cancelled(reason)),
            _ => None,
        }
    }
}
