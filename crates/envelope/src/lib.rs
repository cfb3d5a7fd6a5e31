//! The format of one event in Kafka; no I/O.
//!
//! The events of one [`Topic`] are a serde enum with one variant per type ([`Event`]). A record has the binary mode of the
//! `CloudEvents` 1.0 Kafka binding: the [`Headers`] are the metadata, the value is the event's data alone. The
//! [`Sequence`] numbers the events of a key; by it a reader recognises a repetition.

mod codec;
mod event;
mod headers;
mod sequence;
mod topic;

pub use event::{Event, ParseError};
pub use headers::{Headers, HeadersError, names};
pub use sequence::{Arrival, Generation, OutOfRange, Sequence};
pub use topic::{Cleanup, Topic, source};
