//! A record of Kafka, copied out of librdkafka's memory.

mod identity;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use envelope::names;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};
use time::OffsetDateTime;

pub(crate) use self::identity::Identity;

/// A topic (without the system's prefix) and the number of a partition.
pub type Partition = (String, i32);

/// A record as Kafka has it.
///
/// It owns its bytes: a `BorrowedMessage` that is alive when its consumer is dropped makes the drop hang for ever.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic, without the system's prefix.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The time that Kafka keeps with the record.
    pub timestamp: Timestamp,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None`: a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in order. `None`: the name of a header is not UTF-8, which rdkafka cannot read.
    pub headers: Option<HeaderList>,
}

/// The time of a record in milliseconds since 1970, according to its topic's `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// Kafka's time of the append (`LogAppendTime`).
    Appended(i64),
    /// The publisher's time (`CreateTime`).
    Created(i64),
    /// The record has no time.
    Unknown,
}

/// Kafka headers in order. In the outbox, which keeps them as JSON, a value is text where it is UTF-8, and otherwise a list
/// of bytes.
pub type HeaderList = Vec<(String, HeaderValue)>;

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum HeaderValue {
    /// A value that is UTF-8.
    Text(String),
    /// Any other value.
    Bytes(Vec<u8>),
    /// No value.
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

    /// Returns the value as bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null => None,
        }
    }
}

impl Record {
    pub(crate) fn copy(message: &BorrowedMessage<'_>, topic: &str) -> Self {
        // -1 stands for no time.
        let timestamp = match (message.timestamp(), message.timestamp().to_millis()) {
            (rdkafka::Timestamp::LogAppendTime(_), Some(millis)) => Timestamp::Appended(millis),
            (_, Some(millis)) => Timestamp::Created(millis),
            (_, None) => Timestamp::Unknown,
        };
        Self {
            topic: topic.to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp,
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: copy_headers(message),
        }
    }

    pub(crate) fn origin(&self) -> Partition {
        (self.topic.clone(), self.partition)
    }

    /// The time of the append by the clock of Kafka; `None` when the topic keeps the publisher's time instead.
    pub(crate) fn appended_at(&self) -> Option<OffsetDateTime> {
        match self.timestamp {
            Timestamp::Appended(millis) => {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
            }
            Timestamp::Created(_) | Timestamp::Unknown => None,
        }
    }

    /// Returns the value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.as_ref()?.iter().find(|header| header.0 == name)?.1.bytes()
    }

    /// Returns the value of the first header with this name as text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Returns the event's type, where it is readable.
    pub fn ce_type(&self) -> Option<&str> {
        self.header_text(names::TYPE)
    }

    /// Returns the key as text, where it is readable.
    pub fn key_text(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok())
    }

    /// The record's `traceparent` (W3C) for log lines; `None` when its length is wrong.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.header_text(names::TRACEPARENT).filter(|text| text.len() == 55)
    }

    /// Returns the size of key, value and headers together.
    pub fn bytes(&self) -> usize {
        bytes(self.key.as_deref(), self.value.as_deref(), self.headers.as_deref().unwrap_or_default())
    }
}

/// Returns the size of key, value and headers together.
pub(crate) fn bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(String, HeaderValue)]) -> usize {
    let headers = headers.iter().map(|(name, value)| name.len() + value.bytes().map_or(0, <[u8]>::len));
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
}

/// rdkafka 0.39 panics on a header name that is not UTF-8 (`CStr::to_str().unwrap()`): without the catch, anyone who may
/// write to the topic could end the process with one record.
fn copy_headers(message: &BorrowedMessage<'_>) -> Option<HeaderList> {
    let Some(headers) = message.headers() else {
        return Some(Vec::new());
    };
    catch_quietly(|| {
        headers.iter().map(|header| (header.key.to_owned(), HeaderValue::of(header.value))).collect()
    })
}

/// Returns the result of `work`; `None` when it panics, which is expected and kept out of the log.
fn catch_quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                previous(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    QUIET.set(false);
    result
}
