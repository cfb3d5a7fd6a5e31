//! Distinguishes records that have the same offset in different logs of one name.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Record, Timestamp};

/// A digest of a record: its topic's full name, its time, key, headers and value.
///
/// Kafka's own topic ids and leader epochs would serve too, but rdkafka 0.39 does not expose them. An event's `ce_id`
/// would not: records of other systems have none, and a copied record keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity([u8; 16]);

impl Identity {
    /// Returns the identity of `record`, which was read from the topic with this full name.
    pub(crate) fn of(record: &Record, full_name: &str) -> Self {
        let mut hash = Hash(Sha256::new());
        hash.field(Some(full_name.as_bytes()));
        let time = match record.timestamp {
            Timestamp::Appended(millis) | Timestamp::Created(millis) => Some(millis.to_be_bytes()),
            Timestamp::Unknown => None,
        };
        hash.field(time.as_ref().map(<[u8; 8]>::as_slice));
        hash.field(record.key.as_deref());
        hash.field(record.value.as_deref());
        for (name, value) in record.headers.iter().flatten() {
            hash.field(Some(name.as_bytes()));
            hash.field(value.bytes());
        }
        let digest: [u8; 32] = hash.0.finalize().into();
        Self(std::array::from_fn(|i| digest[i]))
    }

    /// Reads an identity as the database keeps it; `None`: the length is wrong.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

struct Hash(Sha256);

impl Hash {
    /// Adds a field with its length, so that no two lists of fields have the same digest.
    fn field(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.0.update(length.to_be_bytes());
        self.0.update(bytes.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::HeaderValue;

    fn record() -> Record {
        Record {
            topic: "deposits".to_owned(),
            partition: 0,
            offset: 7,
            timestamp: Timestamp::Appended(1_000),
            key: Some(b"alice".to_vec()),
            value: Some(b"{}".to_vec()),
            headers: Some(vec![("a".to_owned(), HeaderValue::Text("b".to_owned()))]),
        }
    }

    #[test]
    fn every_part_of_a_record_changes_its_identity() {
        let of = |record: Record| Identity::of(&record, "deposits");
        let same = of(record());
        assert_eq!(of(record()), same);
        assert_eq!(Identity::from_bytes(same.bytes()), Some(same));
        assert_ne!(Identity::of(&record(), "shop.deposits"), same);
        let header = |name: &str, value| Some(vec![(name.to_owned(), value)]);
        for other in [
            Record { timestamp: Timestamp::Appended(1_001), ..record() },
            Record { key: None, ..record() },
            Record { value: None, ..record() },
            Record { value: Some(Vec::new()), ..record() },
            Record { key: Some(b"alic".to_vec()), value: Some(b"e{}".to_vec()), ..record() },
            Record { headers: None, ..record() },
            Record { headers: header("ab", HeaderValue::Text(String::new())), ..record() },
            Record { headers: header("a", HeaderValue::Null), ..record() },
        ] {
            assert_ne!(of(other.clone()), same, "{other:?}");
        }
    }
}
