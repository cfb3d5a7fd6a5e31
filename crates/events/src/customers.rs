//! Topic `customers`: who ordered, told by the order service. Compacted; the only topic that carries an address.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::values::{CustomerId, EmailAddress};

/// The contacts.
pub const CUSTOMERS: Topic = Topic {
    name: "customers",
    owner: "order",
    key: "customer id",
    cleanup: Cleanup::Compact,
    personal: true,
};

/// Everything that is published on [`CUSTOMERS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerEvent {
    /// First ordered under this id.
    #[serde(rename = "customer.registered.v1")]
    Registered(CustomerRegistered),
    /// Wants to be forgotten; a tombstone, so that compaction forgets the address too.
    #[serde(rename = "customer.erased.v1")]
    Erased(CustomerErased),
}

/// `customer.registered.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerRegistered {
    /// The customer.
    pub customer_id: CustomerId,
    /// How to reach them. Earlier versions wrote other spellings; they are read as the canonical form.
    #[serde(deserialize_with = "EmailAddress::deserialize_older")]
    pub email: EmailAddress,
    /// When they first ordered.
    #[serde(with = "time::serde::rfc3339")]
    pub registered_at: OffsetDateTime,
}

/// `customer.erased.v1`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerErased {
    /// The customer; on the wire it is the key alone.
    pub customer_id: CustomerId,
}

impl Event for CustomerEvent {
    const TOPIC: Topic = CUSTOMERS;

    fn key(&self) -> String {
        self.customer_id().to_string()
    }

    fn is_tombstone(&self) -> bool {
        matches!(self, Self::Erased(_))
    }

    fn from_tombstone(ce_type: &str, key: &str) -> Option<Self> {
        let customer_id = key.parse().ok()?;
        (ce_type == "customer.erased.v1").then_some(Self::Erased(CustomerErased { customer_id }))
    }
}

impl CustomerEvent {
    /// The customer that it is about.
    pub fn customer_id(&self) -> CustomerId {
        match self {
            Self::Registered(CustomerRegistered { customer_id, .. })
            | Self::Erased(CustomerErased { customer_id }) => *customer_id,
        }
    }
}
