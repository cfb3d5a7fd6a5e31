//! Topic `customers`: the customers and their addresses, published by the order service. Compacted; the only topic
//! with e-mail addresses.

use envelope::{Cleanup, Event, Topic};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::values::{CustomerId, EmailAddress};

/// The customers and their addresses.
pub const CUSTOMERS: Topic = Topic {
    name: "customers",
    owner: "order",
    key: "customer id",
    cleanup: Cleanup::Compact,
    personal: true,
};

/// The events of [`CUSTOMERS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerEvent {
    /// A customer ordered for the first time.
    #[serde(rename = "customer.registered.v1")]
    Registered(CustomerRegistered),
    /// A customer was erased. A tombstone, so that compaction removes the address too.
    #[serde(rename = "customer.erased.v1")]
    Erased(CustomerErased),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerRegistered {
    pub customer_id: CustomerId,
    /// The customer's address. Earlier versions wrote other spellings; they are read in canonical form.
    #[serde(deserialize_with = "EmailAddress::deserialize_older")]
    pub email: EmailAddress,
    /// The time of the customer's first order.
    #[serde(with = "time::serde::rfc3339")]
    pub registered_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerErased {
    /// The customer; on the wire only the record's key has it.
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
        let erased = Self::Erased(CustomerErased { customer_id: key.parse().ok()? });
        (erased.ce_type() == ce_type).then_some(erased)
    }
}

impl CustomerEvent {
    pub fn customer_id(&self) -> CustomerId {
        match self {
            Self::Registered(CustomerRegistered { customer_id, .. })
            | Self::Erased(CustomerErased { customer_id }) => *customer_id,
        }
    }
}
