//! The context of an event as Kafka headers: `CloudEvents` 1.0, Kafka protocol binding, binary mode.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::{Generation, OutOfRange, Sequence};

/// The header names of the binding, and the extensions that this system uses (sequence, generation, causation).
pub mod names {
    /// Always `1.0`.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// The event's own id, a `UUIDv7`.
    pub const ID: &str = "ce_id";
    /// Who published it: `/order`.
    pub const SOURCE: &str = "ce_source";
    /// What happened: `order.placed.v1`.
    pub const TYPE: &str = "ce_type";
    /// When it happened, RFC 3339.
    pub const TIME: &str = "ce_time";
    /// Its number among the events of its topic and key.
    pub const SEQUENCE: &str = "ce_sequence";
    /// How often the publisher's database was restored from an older copy before; absent: never.
    pub const GENERATION: &str = "ce_generation";
    /// The id of the event that caused it.
    pub const CAUSATION: &str = "ce_causationid";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The media type of the value.
    pub const CONTENT_TYPE: &str = "content-type";
}

/// Who published an event, what it is, and where it stands among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// Unique to the event; a repetition carries the same.
    pub id: Uuid,
    /// The publishing service as a URI reference: `/order`.
    pub source: String,
    /// The event's type: `order.placed.v1`.
    pub event_type: String,
    /// When the event was appended, by the publisher's clock.
    pub time: OffsetDateTime,
    /// Its number, from 1, among the events of its topic and key, and the generation of the publisher's database.
    pub sequence: Sequence,
    /// The event that caused this one, where one did.
    pub causation: Option<Uuid>,
    /// W3C `traceparent`, where a trace was running.
    pub traceparent: Option<String>,
}

/// Why headers cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeadersError {
    /// A header that every event carries is absent.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header is there and means nothing.
    #[error("header {0} is not readable")]
    Unreadable(&'static str),
    /// A header should be a number, and is none that counts.
    #[error("header {0} is not readable: {1}")]
    Number(&'static str, OutOfRange),
}

fn number<T: FromStr<Err = OutOfRange>>(name: &'static str, text: &str) -> Result<T, HeadersError> {
    text.parse().map_err(|error| HeadersError::Number(name, error))
}

impl Headers {
    /// The headers as name and value, in a fixed order.
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

    /// Reads headers through `get`, which gives a header's bytes by name.
    ///
    /// Strict about what a reader relies on (type, id, source, sequence, generation, version), lenient about the rest, which
    /// only explains.
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
            traceparent: text(names::TRACEPARENT).map(str::to_owned),
        })
    }
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
    fn come_back_as_they_were_written() {
        assert_eq!(read(&headers().pairs()), Ok(headers()));
        assert!(
            !headers().pairs().iter().any(|pair| pair.0 == names::GENERATION),
            "the first one is not written"
        );
        let sequence = headers().sequence.of("3".parse().unwrap());
        let restored = Headers { sequence, ..headers() };
        assert_eq!(read(&restored.pairs()), Ok(restored));
    }

    #[test]
    fn a_missing_or_senseless_header_is_named() {
        let without = |name| headers().pairs().into_iter().filter(|pair| pair.0 != name).collect::<Vec<_>>();
        assert_eq!(read(&without(names::ID)), Err(HeadersError::Missing(names::ID)));
        let mut pairs = without(names::SEQUENCE);
        pairs.push((names::SEQUENCE, "0".into()));
        assert_eq!(read(&pairs), Err(HeadersError::Number(names::SEQUENCE, OutOfRange::Sequence)));
        let mut pairs = headers().pairs();
        pairs.push((names::GENERATION, "9999999".into()));
        assert_eq!(read(&pairs), Err(HeadersError::Number(names::GENERATION, OutOfRange::Generation)));
        assert!(read(&without(names::TRACEPARENT)).unwrap().traceparent.is_none());
    }
}
