//! Parses the event of a record.

use envelope::{Event, Headers, ParseError};

use super::incoming::Received;
use crate::record::Record;

pub(super) enum Parsed<E> {
    Event(Received<E>),
    /// The type is unknown: a newer version of the publisher wrote the record.
    Unknown,
    /// The record can never be applied, for this reason.
    Dead(String),
}

pub(super) fn parse<E: Event>(record: &Record) -> Parsed<E> {
    if record.headers.is_none() {
        return Parsed::Dead("the headers are not readable: a name is not UTF-8".to_owned());
    }
    let Some(ce_type) = record.ce_type() else {
        return Parsed::Dead("header ce_type is missing or not readable".to_owned());
    };
    if !E::knows(ce_type) {
        return Parsed::Unknown;
    }
    let headers = match Headers::read(|name| record.header(name)) {
        Ok(headers) => headers,
        Err(error) => return Parsed::Dead(error.to_string()),
    };
    if !E::TOPIC.is_published_by(&headers.source) {
        // The cause does not quote the header, which may be any text; the dead letter has it.
        let owner = envelope::source(E::TOPIC.owner);
        return Parsed::Dead(format!("header ce_source is not {owner}, which alone publishes on this topic"));
    }
    let Some(key) = record.key_text() else {
        return Parsed::Dead("the key is missing or not UTF-8".to_owned());
    };
    match E::parse(ce_type, key, record.value.as_deref()) {
        // Order and sequence are per key: an event under a wrong key has neither.
        Ok(event) if event.key() != key => Parsed::Dead("the key is not that of the event".to_owned()),
        Ok(event) => Parsed::Event(Received {
            event,
            id: headers.id,
            sequence: headers.sequence,
            time: headers.time,
            traceparent: headers.traceparent,
        }),
        // The error of serde quotes parts of the value, which must not get into the cause on a personal topic.
        Err(ParseError::Data(_)) if E::TOPIC.personal => Parsed::Dead("the value does not parse".to_owned()),
        Err(error) => Parsed::Dead(error.to_string()),
    }
}
