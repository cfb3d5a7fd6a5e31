//! A record as it came from Kafka, copied out of librdkafka at once.

mod identity;
mod quiet;

use envelope::names;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{Message, Timestamp};
use time::OffsetDateTime;

pub(crate) use self::identity::Identity;
use crate::outbox::{HeaderList, HeaderValue};
use crate::positions::Partition;

/// Owned: a `BorrowedMessage` that is alive when its consumer is dropped makes the drop hang for ever.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Without the system's prefix.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Timestamp,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// `None`: a header's name is no UTF-8, and rdkafka cannot read past it.
    pub headers: Option<HeaderList>,
}

impl Record {
    pub(crate) fn copy(message: &BorrowedMessage<'_>, topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: copy_headers(message),
        }
    }

    /// The partition that it came from.
    pub(crate) fn origin(&self) -> Partition {
        (self.topic.clone(), self.partition)
    }

    /// When Kafka appended it, by the broker's clock; `None` when its topic keeps the publisher's time instead.
    pub(crate) fn appended_at(&self) -> Option<OffsetDateTime> {
        match self.timestamp {
            Timestamp::LogAppendTime(millis) => {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
            }
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.as_ref()?.iter().find(|header| header.0 == name)?.1.bytes()
    }

    /// The event's type, where it can be read.
    pub(crate) fn ce_type(&self) -> Option<&str> {
        self.header(names::TYPE).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The trace that it is part of, for a log line: a `traceparent` (W3C), as long as one is.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        let text = self.header(names::TRACEPARENT).and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.filter(|text| text.len() == 55)
    }

    pub(crate) fn bytes(&self) -> usize {
        let headers = self.headers.iter().flatten();
        let headers: usize =
            headers.map(|(name, value)| name.len() + value.bytes().map_or(0, <[u8]>::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// rdkafka 0.39 panics on a header name that is no UTF-8 (`CStr::to_str().unwrap()`): anyone who may write to the topic
/// could end the process with one record.
fn copy_headers(message: &BorrowedMessage<'_>) -> Option<HeaderList> {
    let Some(headers) = message.headers() else {
        return Some(Vec::new());
    };
    quiet::catch(|| {
        headers.iter().map(|header| (header.key.to_owned(), HeaderValue::of(header.value))).collect()
    })
}
