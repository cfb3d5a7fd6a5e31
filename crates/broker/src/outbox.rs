//! Events on their way into the outbox: encoded, checked and labelled with their cause.

use envelope::{Event, Headers, Sequence, names};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::generation::Lineage;
use crate::origin::Signed;
use crate::record::{self, HeaderList, HeaderValue};

/// The largest size of an event's key, value and headers together, in bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// The largest record of a topic in bytes: an event and Kafka's framing.
pub const MAX_RECORD_BYTES: usize = MAX_EVENT_BYTES + 16 * 1024;
/// The largest dead letter in bytes: a record and the headers that describe its failure.
pub const MAX_DEAD_LETTER_BYTES: usize = MAX_RECORD_BYTES + 64 * 1024;

/// Why an event cannot be appended; the caller can still roll back.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The event is so large that Kafka would refuse it.
    #[error("an event of {ce_type} has {bytes} bytes, at most {MAX_EVENT_BYTES} are allowed")]
    TooLarge {
        /// The event's type.
        ce_type: String,
        /// The size of key, value and headers together.
        bytes: usize,
    },
    /// Another service owns the topic; readers would reject the event as forged.
    #[error("an event of {ce_type} is published by {owner} alone, and this is {publisher}")]
    NotOwner {
        /// The event's type.
        ce_type: String,
        /// The `ce_source` of its topic's owner.
        owner: String,
        /// The `ce_source` of this service.
        publisher: String,
    },
    /// The key is empty; a record without a key has no order.
    #[error("an event of {0} has an empty key")]
    EmptyKey(String),
    /// The event cannot be serialized as [`Event`] requires.
    #[error("an event does not serialize: {0}")]
    Encode(#[from] serde_json::Error),
}

/// The cause of an event: the event before it, and the trace that both belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The id of the causing event.
    pub event_id: Option<Uuid>,
    /// The W3C `traceparent`; `None`: a new trace begins with the event.
    pub traceparent: Option<String>,
}

impl Cause {
    /// Returns the cause of an event that follows from a request or a timer instead of an event.
    pub fn traced(traceparent: Option<String>) -> Self {
        Self { event_id: None, traceparent }
    }
}

/// A row of the outbox: a record to be published.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: HeaderList,
}

impl Row {
    pub(crate) fn bytes(&self) -> usize {
        record::bytes(self.key.as_deref(), self.value.as_deref(), &self.headers)
    }
}

/// Collects the events of one source in order. Handlers fill it without I/O, and the transaction writes it.
#[derive(Debug)]
pub(crate) struct Appends {
    source: String,
    /// The lineage of the database: its generation makes each event newer than all events of earlier generations.
    lineage: Lineage,
    now: OffsetDateTime,
    cause: Cause,
    pub(crate) rows: Vec<Row>,
}

impl Appends {
    pub(crate) fn new(source: String, lineage: Lineage, now: OffsetDateTime) -> Self {
        Self { source, lineage, now, cause: Cause::default(), rows: Vec::new() }
    }

    pub(crate) fn caused_by(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// Sets the time of the events that follow, and returns the one before.
    pub(crate) fn set_time(&mut self, time: OffsetDateTime) -> OffsetDateTime {
        std::mem::replace(&mut self.now, time)
    }

    /// Adds `event`, the `sequence`-th of its topic and key (the aggregate's version), and returns its id.
    pub(crate) fn append<E: Event>(&mut self, sequence: Sequence, event: &E) -> Result<Uuid, AppendError> {
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
        let signed = Signed {
            topic: E::TOPIC.name,
            key: key.as_bytes(),
            event_type: ce_type.as_bytes(),
            sequence: number.as_bytes(),
            value: value.as_deref(),
        };
        let headers = Headers {
            id: self.lineage.key.id(&signed),
            source: self.source.clone(),
            event_type: ce_type,
            time: self.now,
            sequence: sequence.of(self.lineage.generation),
            causation: self.cause.event_id,
            traceparent: Some(self.cause.traceparent.get_or_insert_with(new_trace).clone()),
        };
        let pairs = headers.pairs().into_iter();
        // A tombstone has no data and therefore no media type.
        let pairs = pairs.filter(|(name, _)| value.is_some() || *name != names::CONTENT_TYPE);
        let row = Row {
            topic: E::TOPIC.name.to_owned(),
            headers: pairs.map(|(name, text)| (name.to_owned(), HeaderValue::Text(text))).collect(),
            key: Some(key.into_bytes()),
            value,
        };
        let bytes = row.bytes();
        if bytes > MAX_EVENT_BYTES {
            return Err(AppendError::TooLarge { ce_type: headers.event_type, bytes });
        }
        self.rows.push(row);
        Ok(headers.id)
    }
}

/// Returns the `traceparent` (W3C) of a new trace that is not sampled.
fn new_trace() -> String {
    let (trace, span) = (Uuid::new_v4(), Uuid::new_v4());
    format!("00-{}-{:016x}-00", trace.simple(), span.as_u64_pair().0)
}
