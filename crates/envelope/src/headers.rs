//! The metadata of an event as Kafka headers: `CloudEvents` 1.0, Kafka protocol binding, binary mode.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::sequence::{Generation, OutOfRange, Sequence};

/// The header names of the binding, and the extensions that this system uses (sequence, generation, causation).
pub mod names {
    /// The version of `CloudEvents`, always `1.0`.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// The event's own id, a `UUIDv7`.
    pub const ID: &str = "ce_id";
    /// The publishing service: `/order`.
    pub const SOURCE: &str = "ce_source";
    /// The event's type: `order.placed.v1`.
    pub const TYPE: &str = "ce_type";
    /// The time at which the event was appended, RFC 3339.
    pub const TIME: &str = "ce_time";
    /// The event's number among the events of its topic and key.
    pub const SEQUENCE: &str = "ce_sequence";
    /// The number of times that the publisher's database was restored from an older copy; absent for 0.
    pub const GENERATION: &str = "ce_generation";
    /// The id of the event that caused this one.
    pub const CAUSATION: &str = "ce_causationid";
    /// The W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The media type of the value.
    pub const CONTENT_TYPE: &str = "content-type";
}

/// The metadata of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The id, unique to the event; a repetition has the same id.
    pub id: Uuid,
    /// The publishing service as a URI reference: `/order`.
    pub source: String,
    /// The event's type: `order.placed.v1`.
    pub event_type: String,
    /// The time at which the event was appended, by the publisher's clock.
    pub time: OffsetDateTime,
    /// The number, from 1, among the events of the topic and key, and the generation of the publisher's database.
    pub sequence: Sequence,
    /// The id of the event that caused this one, if any.
    pub causation: Option<Uuid>,
    /// The W3C `traceparent`, if a trace was running.
    pub traceparent: Option<String>,
}

/// The error of headers that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeadersError {
    /// A header that every event has is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header's value is invalid.
    #[error("header {0} is not readable")]
    Unreadable(&'static str),
    /// A header's value is not a number, or out of range.
    #[error("header {0} is not readable: {1}")]
    Number(&'static str, OutOfRange),
}

fn number<T: FromStr<Err = OutOfRange>>(name: &'static str, text: &str) -> Result<T, HeadersError> {
    text.parse().map_err(|error| HeadersError::Number(name, error))
}

impl Headers {
    /// Returns the headers as names and values, in a fixed order.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            (names::SPEC_VERSION, "1.0".to_owned()),
            (names::ID, self.id.to_string()),
            (names::SOURCE, self.source.clone()),
            (names::TYPE, self.event_type.clone()),
            (names::TIME, self.time.format(&Rfc3339).unwrap_or_default()),
            (names::SEQUENCE, self.sequence.to_string()),
        ];
        let generation = self.sequence.generation();
        if generation > Generation::FIRST {
            pairs.push((names::GENERATION, generation.to_string()));
        }
        pairs.extend(self.causation.map(|id| (names::CAUSATION, id.to_string())));
        pairs.extend(self.traceparent.clone().map(|parent| (names::TRACEPARENT, parent)));
        pairs.push((names::CONTENT_TYPE, "application/json".to_owned()));
        pairs
    }

    /// Reads headers through `get`, which returns a header's bytes by name.
    ///
    /// Headers on which consumers rely (type, id, source, sequence, generation, version) must be valid. The others are for
    /// diagnosis: invalid ones count as missing.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, HeadersError> {
        let text = |name| get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let required = |name: &'static str| {
            let bytes = get(name).ok_or(HeadersError::Missing(name))?;
            std::str::from_utf8(bytes).map_err(|_| HeadersError::Unreadable(name))
        };
        if required(names::SPEC_VERSION)? != "1.0" {
            return Err(HeadersError::Unreadable(names::SPEC_VERSION));
        }
        let generation = match get(names::GENERATION) {
            Some(_) => number(names::GENERATION, required(names::GENERATION)?)?,
            None => Generation::FIRST,
        };
        Ok(Self {
            id: required(names::ID)?.parse().map_err(|_| HeadersError::Unreadable(names::ID))?,
            event_type: required(names::TYPE)?.to_owned(),
            sequence: number::<Sequence>(names::SEQUENCE, required(names::SEQUENCE)?)?.of(generation),
            source: required(names::SOURCE)?.to_owned(),
            time: text(names::TIME)
                .and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            causation: text(names::CAUSATION).and_then(|id| id.parse().ok()),
            traceparent: text(names::TRACEPARENT).filter(|text| is_traceparent(text)).map(str::to_owned),
        })
    }
}

/// Whether `text` has the shape of W3C's `traceparent`: four hexadecimal numbers. It is copied into the events that follow.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        Headers {
            id: Uuid::nil(),
            source: "/order".into(),
            event_type: "order.placed.v1".into(),
            time: OffsetDateTime::UNIX_EPOCH,
            sequence: Sequence::NONE.next(),
            causation: Some(Uuid::max()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        }
    }

    fn read(pairs: &[(&'static str, String)]) -> Result<Headers, HeadersError> {
        Headers::read(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_bytes()))
    }

    #[test]
    fn written_headers_read_back_unchanged() {
        assert_eq!(read(&headers().pairs()), Ok(headers()));
        assert!(
            !headers().pairs().iter().any(|pair| pair.0 == names::GENERATION),
            "the first generation is not written"
        );
        let sequence = headers().sequence.of("3".parse().unwrap());
        let restored = Headers { sequence, ..headers() };
        assert_eq!(read(&restored.pairs()), Ok(restored));
    }

    #[test]
    fn errors_name_the_missing_or_invalid_header() {
        let without = |name| headers().pairs().into_iter().filter(|pair| pair.0 != name).collect::<Vec<_>>();
        assert_eq!(read(&without(names::ID)), Err(HeadersError::Missing(names::ID)));
        let mut pairs = without(names::SEQUENCE);
        pairs.push((names::SEQUENCE, "0".into()));
        assert_eq!(read(&pairs), Err(HeadersError::Number(names::SEQUENCE, OutOfRange::Sequence)));
        let mut pairs = headers().pairs();
        pairs.push((names::GENERATION, "9999999".into()));
        assert_eq!(read(&pairs), Err(HeadersError::Number(names::GENERATION, OutOfRange::Generation)));
        assert!(read(&without(names::TRACEPARENT)).unwrap().traceparent.is_none());
        let mut pairs = without(names::TRACEPARENT);
        pairs.push((names::TRACEPARENT, "a\0b".into()));
        assert!(
            read(&pairs).unwrap().traceparent.is_none(),
            "diagnosis only: an invalid one counts as missing"
        );
    }
}
