//! The words for where a payment is to go, where it is, and what brings it on.

use serde::Serialize;
use utoipa::ToSchema;

/// Where the order wants its payment; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// Hold the money.
    Authorized,
    /// Take it.
    Captured,
    /// Let go of it, or give it back.
    Reversed,
}

/// What is known to have happened to the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing yet, as far as is known.
    Pending,
    /// Held for us.
    Authorized,
    /// Refused; nothing is held.
    Declined,
    /// Ours.
    Captured,
    /// Held, and the gateway will not let us take it.
    CaptureFailed,
    /// No longer held, or never was.
    Voided,
    /// Taken, and given back.
    Refunded,
}

/// What the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Hold the amount.
    Authorize,
    /// Take what is held.
    Capture,
    /// Let go of what is held.
    Void,
    /// Give back what was taken.
    Refund,
}

impl Goal {
    const ALL: [Self; 3] = [Self::Authorized, Self::Captured, Self::Reversed];

    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Reversed => "reversed",
        }
    }

    /// The goal that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|goal| goal.as_str() == word)
    }
}

impl Status {
    const ALL: [Self; 7] = [
        Self::Pending,
        Self::Authorized,
        Self::Declined,
        Self::Captured,
        Self::CaptureFailed,
        Self::Voided,
        Self::Refunded,
    ];

    /// The word in the database and on HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::CaptureFailed => "capture_failed",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }

    /// The status that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl Operation {
    const ALL: [Self; 4] = [Self::Authorize, Self::Capture, Self::Void, Self::Refund];

    /// The word in the database, in idempotency keys and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }

    /// The operation that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for goal in Goal::ALL {
            assert_eq!(Goal::parse(goal.as_str()), Some(goal));
        }
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.as_str()), Some(operation));
        }
    }
}
