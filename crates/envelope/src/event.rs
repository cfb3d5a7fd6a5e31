//! The trait of a topic's events.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::topic::Topic;

/// The events of one topic: an enum with one variant per type, each renamed to its `ce_type` and with data.
///
/// ```
/// use envelope::{Cleanup, Event, Topic};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Parcel {
///     #[serde(rename = "parcel.sent.v1")]
///     Sent(Sent),
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Sent { parcel: String }
///
/// impl Event for Parcel {
///     const TOPIC: Topic = Topic { name: "parcels", owner: "depot", key: "parcel", cleanup: Cleanup::Delete, personal: false };
///     fn key(&self) -> String {
///         let Self::Sent(Sent { parcel }) = self;
///         parcel.clone()
///     }
/// }
///
/// let (ce_type, data) = Parcel::Sent(Sent { parcel: "north".into() }).encode().unwrap();
/// assert_eq!((ce_type.as_str(), data.unwrap().as_slice()), ("parcel.sent.v1", br#"{"parcel":"north"}"#.as_slice()));
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic of these events.
    const TOPIC: Topic;

    /// Returns the record's key. Events with the same key stay in order.
    fn key(&self) -> String;

    /// Returns the event's type, such as `order.placed.v1`: the name that serde gives the variant.
    fn ce_type(&self) -> &'static str {
        codec::name(self)
    }

    /// Returns whether this event is published as a tombstone: headers and no value.
    fn is_tombstone(&self) -> bool {
        false
    }

    /// Returns the event of a tombstone; `None` when `ce_type` is not published as a tombstone.
    fn from_tombstone(ce_type: &str, key: &str) -> Option<Self> {
        let _ = (ce_type, key);
        None
    }

    /// Returns the event's type, and its data as JSON (`None`: a tombstone).
    fn encode(&self) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
        let (ce_type, data) = codec::encode(self)?;
        Ok((ce_type, (!self.is_tombstone()).then_some(data)))
    }

    /// Returns whether this program knows `ce_type` as a type of this topic.
    fn knows(ce_type: &str) -> bool {
        !matches!(codec::decode::<Self>(ce_type, b""), Err(codec::Error::UnknownType(_)))
    }

    /// Parses the output of [`encode`](Self::encode).
    fn parse(ce_type: &str, key: &str, data: Option<&[u8]>) -> Result<Self, ParseError> {
        match data {
            Some(data) => codec::decode(ce_type, data).map_err(ParseError::from),
            None => Self::from_tombstone(ce_type, key).ok_or(ParseError::Empty),
        }
    }
}

/// The error of a value that is not an event of its type.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// This program does not know the type; consumers skip the record.
    #[error("unknown type")]
    UnknownType,
    /// The record has no value, and its type is not published as a tombstone.
    #[error("the value is empty")]
    Empty,
    /// The value is not JSON, or JSON of another shape.
    #[error("the value does not parse: {0}")]
    Data(#[from] serde_json::Error),
}

impl From<codec::Error> for ParseError {
    fn from(error: codec::Error) -> Self {
        match error {
            codec::Error::UnknownType(_) => Self::UnknownType,
            codec::Error::Data(error) => Self::Data(error),
        }
    }
}
