//! The values that services exchange. Each is parsed once, at the edge, and cannot hold a forbidden value.

mod claim;
mod email;
mod given;
mod ids;
mod money;
mod text;
mod visible;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use claim::ClaimHash;
pub use email::EmailAddress;
pub use given::{Give, Given, Invalid};
pub use ids::{CustomerId, DeliveryId, OrderId, SubscriptionId};
pub use money::{Currency, GivenMoney, Money};
pub use text::{DisplayName, PaymentMethod, ProductName, Sku};

/// A quantity of a product, from 1 to 1,000,000.
///
/// A line of a placed order has at most 1,000; lines with the same SKU are added up, so the bound of this type is
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
