//! Events in memory, on their way into the outbox: encoded, checked and stamped with what caused them.

use envelope::{Event, Headers, Sequence, names};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::generation::Lineage;
use crate::origin::Vouched;
use crate::trace;

/// The most that key, value and headers of an event may come to, in bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// Why an event cannot be appended; the caller can still roll back.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Kafka would refuse it.
    #[error("an event of {ce_type} has {bytes} bytes, at most {MAX_EVENT_BYTES} are allowed")]
    TooLarge {
        /// The event's type.
        ce_type: String,
        /// Key, value and headers together.
        bytes: usize,
    },
    /// Readers would take it for a forgery.
    #[error("an event of {ce_type} is published by {owner} alone, and this is {publisher}")]
    NotOwner {
        /// The event's type.
        ce_type: String,
        /// The `ce_source` of its topic's owner.
        owner: String,
        /// That of this service.
        publisher: String,
    },
    /// A record without a key has no order.
    #[error("an event of {0} has an empty key")]
    EmptyKey(String),
    /// The event is not what [`Event`] asks for.
    #[error("an event does not serialize: {0}")]
    Encode(#[from] serde_json::Error),
}

/// What led to an event: the event before it, and the trace that it is part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The id of the causing event.
    pub event_id: Option<Uuid>,
    /// W3C `traceparent`; without one, a trace begins with the event.
    pub traceparent: Option<String>,
}

impl Cause {
    /// A request or a timer: no event, perhaps a trace.
    pub fn traced(traceparent: Option<String>) -> Self {
        Self { event_id: None, traceparent }
    }
}

/// A row of the outbox, as Kafka will get it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: HeaderList,
}

impl Row {
    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize =
            headers.map(|(name, value)| name.len() + value.bytes().map_or(0, <[u8]>::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// Kafka headers in order, values as bytes; as JSON for the outbox a value is text where it is UTF-8, else its bytes.
pub(crate) type HeaderList = Vec<(String, HeaderValue)>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum HeaderValue {
    Text(String),
    Bytes(Vec<u8>),
    Null,
}

impl HeaderValue {
    pub(crate) fn of(bytes: Option<&[u8]>) -> Self {
        match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            Some((_, Ok(text))) => Self::Text(text.to_owned()),
            Some((bytes, Err(_))) => Self::Bytes(bytes.to_vec()),
            None => Self::Null,
        }
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null => None,
        }
    }
}

/// Collects events of one source, in order. Pure: a decision fills it, a transaction writes it.
#[derive(Debug)]
pub struct Appends {
    source: String,
    /// That of the database: by its generation each event is newer than all that an earlier one published.
    lineage: Lineage,
    now: OffsetDateTime,
    cause: Cause,
    pub(crate) rows: Vec<Row>,
}

impl Appends {
    pub(crate) fn new(source: String, lineage: Lineage, now: OffsetDateTime) -> Self {
        Self { source, lineage, now, cause: Cause::default(), rows: Vec::new() }
    }

    /// What causes the events that follow.
    pub(crate) fn caused_by(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// Sets the time of the events that follow, and returns the one before.
    pub(crate) fn set_time(&mut self, time: OffsetDateTime) -> OffsetDateTime {
        std::mem::replace(&mut self.now, time)
    }

    /// Adds `event`, the `sequence`-th of its topic and key (the aggregate's version), and returns its id.
    pub fn append<E: Event>(&mut self, sequence: Sequence, event: &E) -> Result<Uuid, AppendError> {
        let (ce_type, value) = event.encode()?;
        if !E::TOPIC.is_published_by(&self.source) {
            let (owner, publisher) = (envelope::source(E::TOPIC.owner), self.source.clone());
            return Err(AppendError::NotOwner { ce_type, owner, publisher });
        }
        let key = event.key();
        if key.is_empty() {
            return Err(AppendError::EmptyKey(ce_type));
        }
        let number = sequence.to_string();
        let vouched = Vouched {
            topic: E::TOPIC.name,
            key: key.as_bytes(),
            event_type: ce_type.as_bytes(),
            sequence: number.as_bytes(),
            value: value.as_deref(),
        };
        let headers = Headers {
            id: self.lineage.key.id(&vouched),
            source: self.source.clone(),
            event_type: ce_type,
            time: self.now,
            sequence: sequence.of(self.lineage.generation),
            causation: self.cause.event_id,
            traceparent: Some(self.cause.traceparent.get_or_insert_with(trace::begin).clone()),
        };
        let pairs = headers.pairs();
        let bytes = key.len()
            + value.as_ref().map_or(0, Vec::len)
            + pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if bytes > MAX_EVENT_BYTES {
            return Err(AppendError::TooLarge { ce_type: headers.event_type, bytes });
        }
        self.rows.push(Row {
            topic: E::TOPIC.name.to_owned(),
            key: Some(key.into_bytes()),
            headers: pairs
                .into_iter()
                // A tombstone has no data, so there is no media type to tell.
                .filter(|(name, _)| value.is_some() || *name != names::CONTENT_TYPE)
                .map(|(name, text)| (name.to_owned(), HeaderValue::Text(text)))
                .collect(),
            value,
        });
        Ok(headers.id)
    }
}
