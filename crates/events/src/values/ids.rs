//! Ids: UUIDs, a newtype for each kind so that kinds cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

/// Returns a `UUIDv7` (RFC 9562) of `now` whose 74 random bits all come from the system's generator: `Uuid::now_v7`
/// increments a counter within a millisecond, so that its neighbours could be guessed.
fn unguessable(now: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}

/// Returns bytes from the system's random generator. It fails only on a system without one; then no id may be issued.
#[expect(clippy::expect_used, reason = "without a random generator no id may be issued")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random generator");
    bytes
}

/// Parses a UUID with hyphens. The other forms that the parser knows (braces, `urn:uuid:`, no hyphens) are refused,
/// so that an id has one spelling.
fn hyphenated(text: &str) -> Result<Uuid, uuid::Error> {
    Hyphenated::from_str(text).map(Hyphenated::into_uuid)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID, for a database.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
                String::deserialize(reader)?.parse().map_err(D::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                hyphenated(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// Adds the constructor of ids that sort by their time of creation.
macro_rules! made_at {
    ($($name:ident),*) => {
        $(impl $name {
            /// Returns a new id, which cannot be guessed.
            pub fn new(now: OffsetDateTime) -> Self {
                Self(unguessable(now))
            }

            /// The time at which the id was made, by its maker's clock and to the second; `None` for an id without a time.
            pub fn made_at(self) -> Option<OffsetDateTime> {
                let (seconds, _) = self.0.get_timestamp()?.to_unix();
                OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
            }
        })*
    };
}

id!(
    /// The id of an order. A caller who knows it may read the order.
    OrderId
);
id!(
    /// The id of a customer: one address, until it is erased. A `UUIDv4`, which does not reveal the time of the first
    /// order; the ids of earlier versions are `UUIDv7`.
    CustomerId
);
id!(
    /// The id of one message to one recipient on one channel.
    DeliveryId
);
id!(
    /// The id of a person's subscription to the restock of a product.
    SubscriptionId
);

made_at!(OrderId, DeliveryId, SubscriptionId);

impl CustomerId {
    /// Returns a new id, which cannot be guessed.
    pub fn random() -> Self {
        Self(Builder::from_random_bytes(random()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_with_hyphens() {
        let text = "01939f2c-3a8e-7cc0-a1b2-c3d4e5f60718";
        let id: OrderId = text.parse().unwrap();
        assert_eq!(serde_json::from_str::<OrderId>(&format!("\"{text}\"")).unwrap(), id);
        for other in [text.replace('-', ""), format!("{{{text}}}"), format!("urn:uuid:{text}"), String::new()]
        {
            assert!(other.parse::<OrderId>().is_err(), "{other}");
            assert!(serde_json::from_str::<OrderId>(&format!("\"{other}\"")).is_err(), "{other}");
        }
    }

    #[test]
    fn a_customers_id_reveals_no_time() {
        let (first, second) = (CustomerId::random(), CustomerId::random());
        assert_eq!((first.uuid().get_version_num(), second.uuid().get_version_num()), (4, 4));
        assert_ne!(first, second);
        let older = "01939f2c-3a8e-7cc0-a1b2-c3d4e5f60718";
        assert_eq!(older.parse::<CustomerId>().unwrap().to_string(), older);
    }

    #[test]
    fn ids_are_version_7_sorted_by_time_and_far_apart() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let (first, second) = (OrderId::new(now), OrderId::new(now));
        assert_eq!(first.uuid().get_version_num(), 7);
        assert!(OrderId::new(now + time::Duration::SECOND) > first);
        let different_bits = (first.uuid().as_u128() ^ second.uuid().as_u128()).count_ones();
        assert!(different_bits > 10, "neighbours differ in {different_bits} bits");
    }
}
