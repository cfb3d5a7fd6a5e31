//! The values that services exchange. Each is parsed once, at the edge, and cannot hold what the contract forbids.

mod claim;
mod email;
mod ids;
mod money;
mod text;
mod visible;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use claim::ClaimHash;
pub use email::EmailAddress;
pub use ids::{CustomerId, DeliveryId, OrderId, SubscriptionId};
pub use money::{Currency, Money};
pub use text::{DisplayName, PaymentMethod, ProductName, Sku};

/// A value that the contract forbids; the message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) &'static str);

/// A value as a client may give it today, where stored values and events were once given under milder rules and are
/// read under those still.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String", bound = "T: Give")]
pub struct Given<T>(pub T);

/// A value that is held to stricter rules when a client gives it than when it is read from a database or a topic.
pub trait Give: Sized {
    /// The value that a client wrote as `text`.
    fn give(text: String) -> Result<Self, Invalid>;
}

impl<T: Give> TryFrom<String> for Given<T> {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        T::give(text).map(Self)
    }
}

/// How many of a product, at least one.
///
/// An order's line has at most 1,000 when it is placed; a SKU named twice is added up, so the bound of this type is
/// wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 1, maximum = 1_000_000)]
pub struct Quantity(i64);

impl Quantity {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Invalid;

    fn try_from(number: i64) -> Result<Self, Invalid> {
        (1..=1_000_000)
            .contains(&number)
            .then_some(Self(number))
            .ok_or(Invalid("must be from 1 to 1,000,000"))
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}
