//! A record as the board keeps and shows it.

use std::sync::Arc;

use broker::maintenance::{HeaderValue, Record, Timestamp};
use envelope::Sequence;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::mask;

/// The most bytes of a value that the board keeps; a longer one is cut.
const VALUE: usize = 16 << 10;
/// The longest key and type that the board keeps.
const NAME: usize = 200;
/// The memory of an event besides its bytes: the struct, its allocations and its place in the ring.
const OVERHEAD: usize = 320;

/// A record that the board keeps.
#[derive(Debug)]
pub(crate) struct Event {
    pub topic: Box<str>,
    pub partition: i32,
    pub offset: i64,
    /// The time of the append, in milliseconds since 1970.
    pub at: i64,
    pub key: Box<str>,
    /// The order that the event is about, where the key is not its id.
    pub order: Option<Box<str>>,
    /// The event's type; `tombstone` or `unknown` where there is none.
    pub kind: Box<str>,
    pub sequence: Option<Sequence>,
    /// The headers as JSON: one compact allocation.
    headers: Box<str>,
    value: Box<[u8]>,
    /// The size of the whole value.
    length: usize,
}

/// An event as a page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub kind: String,
    pub label: String,
    pub time: String,
    pub headers: Vec<(String, String)>,
    pub value: String,
}

#[derive(Deserialize)]
struct About {
    order_id: Option<Box<str>>,
}

impl Event {
    /// Copies what the board shows of a record.
    pub(crate) fn of(record: &Record) -> Self {
        let value = record.value.as_deref().unwrap_or_default();
        let key = cut(record.key_text().unwrap_or_default());
        let about: Option<About> = serde_json::from_slice(value).ok();
        let order = about.and_then(|about| about.order_id).filter(|order| **order != *key);
        let kind = record.ce_type().unwrap_or(if value.is_empty() { "tombstone" } else { "unknown" });
        let headers = record.headers.as_deref().unwrap_or_default();
        let sequence =
            envelope::Headers::read(|name| record.header(name)).ok().map(|headers| headers.sequence);
        Self {
            topic: record.topic.as_str().into(),
            partition: record.partition,
            offset: record.offset,
            at: match record.timestamp {
                Timestamp::Appended(millis) | Timestamp::Created(millis) => millis,
                Timestamp::Unknown => 0,
            },
            order,
            kind: cut(kind).into(),
            sequence,
            headers: serde_json::to_string(headers).unwrap_or_default().into(),
            value: value[..value.len().min(VALUE)].into(),
            length: value.len(),
            key: key.into(),
        }
    }

    /// The event's type without its noun and version: `order.placed.v1` is `placed`.
    pub(crate) fn label(&self) -> &str {
        self.kind.split('.').nth(1).unwrap_or(&self.kind)
    }

    /// Whether the event belongs to this key: as its own, or as the order that it is about.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        *self.key == *key || self.order.as_deref() == Some(key)
    }

    /// The key under which all events of the same thing are found: the order's id where there is one.
    pub(crate) fn subject(&self) -> &str {
        self.order.as_deref().unwrap_or(&self.key)
    }

    /// The memory that the event takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        OVERHEAD + self.headers.len() + self.value.len() + self.key.len() + self.kind.len()
    }

    /// The whole value, unless it was cut.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        (self.length == self.value.len()).then_some(&self.value)
    }

    /// The subject and the label, without addresses.
    pub(crate) fn show_head(&self) -> (String, String) {
        (mask::text(self.subject()).into_owned(), mask::text(self.label()).into_owned())
    }

    /// The event for a page, without addresses.
    pub(crate) fn show(&self) -> Shown {
        Shown {
            topic: self.topic.to_string(),
            partition: self.partition,
            offset: self.offset,
            key: mask::text(&self.key).into_owned(),
            kind: mask::text(&self.kind).into_owned(),
            label: mask::text(self.label()).into_owned(),
            time: clock(self.at),
            headers: self.shown_headers(),
            value: self.shown_value(),
        }
    }

    fn shown_headers(&self) -> Vec<(String, String)> {
        let headers: Vec<(String, HeaderValue)> = serde_json::from_str(&self.headers).unwrap_or_default();
        let shown = headers.into_iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.bytes().unwrap_or_default()).into_owned();
            (mask::text(&name).into_owned(), mask::text(&text).into_owned())
        });
        shown.collect()
    }

    fn shown_value(&self) -> String {
        if self.length > self.value.len() {
            return format!("{} bytes: too long to show here", self.length);
        }
        match serde_json::from_slice::<Value>(&self.value) {
            Ok(mut value) => {
                mask::json(&mut value);
                serde_json::to_string_pretty(&value).unwrap_or_default()
            }
            Err(_) => mask::text(&String::from_utf8_lossy(&self.value)).into_owned(),
        }
    }
}

/// The events for a page, without addresses.
pub(crate) fn shown(events: &[Arc<Event>]) -> Vec<Shown> {
    events.iter().map(|event| event.show()).collect()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME)]
}

/// The time of day in UTC, to the millisecond.
fn clock(millis: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second, milli) = time.to_hms_milli();
    format!("{hour:02}:{minute:02}:{second:02}.{milli:03}")
}

#[cfg(test)]
pub(super) fn sample(topic: &str, partition: i32, offset: i64, key: &str, kind: &str, value: &str) -> Event {
    Event::of(&Record {
        topic: topic.to_owned(),
        partition,
        offset,
        timestamp: Timestamp::Appended(offset * 10),
        key: Some(key.into()),
        value: Some(value.into()),
        headers: Some(vec![("ce_type".to_owned(), HeaderValue::Text(kind.to_owned()))]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_without_addresses_and_found_by_its_order() {
        let event = sample(
            "notifications",
            3,
            7,
            "delivery-1",
            "notification.sent.v1",
            r#"{"order_id":"o-1","to":"a@b.example"}"#,
        );
        assert!(event.is_about("o-1") && event.is_about("delivery-1") && !event.is_about("o-2"));
        let shown = event.show();
        assert_eq!((shown.label.as_str(), shown.time.as_str()), ("sent", "00:00:00.070"));
        assert!(!shown.value.contains('@'), "{}", shown.value);
        assert_eq!(shown.headers, [("ce_type".to_owned(), "notification.sent.v1".to_owned())]);
    }

    #[test]
    fn a_long_value_is_not_kept() {
        let value = format!("{:?}", "x".repeat(1 << 20));
        let event = sample("orders", 0, 1, &"k".repeat(5000), "order.placed.v1", &value);
        assert!(event.size() < VALUE + 1000 && event.value().is_none());
        assert!(event.show().value.contains("1048578 bytes"), "{}", event.show().value);
    }
}
