//! The events between the two services.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};

/// The events of an account at the till.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deposits {
    #[serde(rename = "deposit.made.v1")]
    Made(Made),
    #[serde(rename = "account.closed.v1")]
    Closed(Account),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) account: String,
    pub(crate) amount: i64,
    #[serde(default)]
    pub(crate) memo: String,
}

/// The state of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Balances {
    #[serde(rename = "account.changed.v1")]
    Changed(Balance),
    /// The account is erased: a tombstone.
    #[serde(rename = "account.erased.v1")]
    Erased(Account),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) account: String,
    pub(crate) balance: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) account: String,
}

impl Event for Deposits {
    const TOPIC: Topic =
        Topic { name: "deposits", owner: "till", key: "account", cleanup: Cleanup::Delete, personal: false };

    fn key(&self) -> String {
        match self {
            Self::Made(Made { account, .. }) | Self::Closed(Account { account }) => account.clone(),
        }
    }
}

impl Event for Balances {
    const TOPIC: Topic = Topic {
        name: "balances",
        owner: "ledger",
        key: "account",
        cleanup: Cleanup::Compact,
        personal: false,
    };

    fn key(&self) -> String {
        match self {
            Self::Changed(Balance { account, .. }) | Self::Erased(Account { account }) => account.clone(),
        }
    }

    fn is_tombstone(&self) -> bool {
        matches!(self, Self::Erased(_))
    }

    fn from_tombstone(ce_type: &str, key: &str) -> Option<Self> {
        (ce_type == "account.erased.v1").then(|| Self::Erased(Account { account: key.to_owned() }))
    }
}
