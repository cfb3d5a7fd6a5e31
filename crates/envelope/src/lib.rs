//! One event on the wire, without any I/O.
//!
//! An event is a serde enum with one variant a type ([`Event`]); it lives on one [`Topic`], under one key, and travels
//! in the binary mode of the `CloudEvents` 1.0 Kafka binding: [`Headers`] say what it is, the value is its data alone.
//! [`Sequence`] numbers the events of a key and is how a reader recognises a repetition.

mod codec;
mod event;
mod headers;
mod sequence;
mod topic;
mod variant;

pub use event::{Event, ParseError};
pub use headers::{Headers, HeadersError, names};
pub use sequence::{Arrival, Generation, OutOfRange, Sequence};
pub use topic::{Cleanup, Topic, source};
