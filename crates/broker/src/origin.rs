//! Event ids by which a service recognises the events that it has published itself.
//!
//! Anyone who may write to a topic can write an event in the name of its owner. Readers rely on Kafka's ACLs against that.
//! The owner must recognise a forgery by itself: otherwise an event that its database does not know would count as an event
//! that the database has lost. So the second half of an event's id is a message authentication code (HMAC-SHA256, truncated
//! to the 62 random bits of a `UUIDv7`) under a key that only the database and its copies contain.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::record::Record;

/// The number of bytes of a `UUIDv7` before its variant: the time and 12 random bits.
const TIME: usize = 8;

/// The key of one database.
#[derive(Clone, Copy)]
pub(crate) struct OriginKey([u8; 32]);

/// The parts of an event that its id authenticates. The generation is not among them: it is raised while an event waits in
/// the outbox of a database that is being repaired.
pub(crate) struct Signed<'a> {
    /// The topic, without the system's prefix.
    pub topic: &'a str,
    pub key: &'a [u8],
    pub event_type: &'a [u8],
    /// The sequence number, as in the header.
    pub sequence: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl OriginKey {
    /// Reads a key; `None`: its length is not 32 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns a new id for the event. An event that is appended twice within a millisecond may get the same id twice.
    pub(crate) fn id(&self, event: &Signed<'_>) -> Uuid {
        self.complete(*Uuid::now_v7().as_bytes(), event)
    }

    /// Returns whether the record was published from this database or from a copy of it.
    pub(crate) fn made(&self, record: &Record) -> bool {
        use envelope::names::{ID, SEQUENCE, TYPE};
        let id = record.header(ID).and_then(|id| Uuid::try_parse_ascii(id).ok());
        let (Some(id), Some(key), Some(event_type), Some(sequence)) =
            (id, record.key.as_deref(), record.header(TYPE), record.header(SEQUENCE))
        else {
            return false;
        };
        let event =
            Signed { topic: &record.topic, key, event_type, sequence, value: record.value.as_deref() };
        // A comparison in constant time is not needed: each guess takes a restart of the service.
        self.complete(*id.as_bytes(), &event) == id
    }

    /// Returns the id with the time of `id` and the second half that authenticates the event.
    fn complete(&self, mut id: [u8; 16], event: &Signed<'_>) -> Uuid {
        // Never fails: an HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Uuid::nil() };
        mac.update(&id[..TIME]);
        for part in [event.topic.as_bytes(), event.key, event.event_type, event.sequence] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        // Distinguishes a tombstone from an empty value.
        mac.update(&[u8::from(event.value.is_some())]);
        mac.update(event.value.unwrap_or_default());
        id[TIME..].copy_from_slice(&mac.finalize().into_bytes()[..16 - TIME]);
        uuid::Builder::from_bytes(id).with_variant(uuid::Variant::RFC4122).into_uuid()
    }
}

/// Hides the key, which is a secret.
impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginKey")
    }
}

#[cfg(test)]
mod tests {
    use envelope::names;

    use super::*;
    use crate::record::{HeaderValue, Timestamp};

    fn event() -> Signed<'static> {
        let (key, sequence) = (b"order-1", b"00000000000000000002");
        Signed { topic: "orders", key, event_type: b"order.confirmed.v1", sequence, value: Some(b"{}") }
    }

    fn record(id: Uuid, event: &Signed<'_>) -> Record {
        let text = |bytes: &[u8]| HeaderValue::of(Some(bytes));
        Record {
            topic: event.topic.to_owned(),
            partition: 0,
            offset: 0,
            timestamp: Timestamp::Unknown,
            key: Some(event.key.to_vec()),
            value: event.value.map(<[u8]>::to_vec),
            headers: Some(vec![
                (names::ID.to_owned(), text(id.to_string().as_bytes())),
                (names::TYPE.to_owned(), text(event.event_type)),
                (names::SEQUENCE.to_owned(), text(event.sequence)),
            ]),
        }
    }

    #[test]
    fn an_id_authenticates_only_its_event_and_only_under_its_key() {
        let (ours, other) = (OriginKey([1; 32]), OriginKey([2; 32]));
        let id = ours.id(&event());
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert!(ours.made(&record(id, &event())));
        assert!(!other.made(&record(id, &event())));
        assert!(!ours.made(&record(Uuid::now_v7(), &event())));
        for changed in [
            Signed { topic: "payments", ..event() },
            Signed { key: b"order-2", ..event() },
            Signed { event_type: b"order.cancelled.v1", ..event() },
            Signed { sequence: b"00000000000000000003", ..event() },
            Signed { value: Some(b"{\"a\":1}"), ..event() },
            Signed { value: None, ..event() },
        ] {
            assert!(!ours.made(&record(id, &changed)), "{}", changed.topic);
        }
        let tombstone = Signed { value: None, ..event() };
        let id = ours.id(&tombstone);
        assert!(!ours.made(&record(id, &Signed { value: Some(b""), ..event() })));
    }
}
