//! The trait that makes a serde enum the vocabulary of a topic.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Topic, codec, variant};

/// All events of one topic: an enum with one newtype variant a type, each renamed to its `ce_type`.
///
/// ```
/// use envelope::{Cleanup, Event, Topic};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Door {
///     #[serde(rename = "door.opened.v1")]
///     Opened(Opened),
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Opened { door: String }
///
/// impl Event for Door {
///     const TOPIC: Topic = Topic { name: "doors", owner: "porter", key: "door", cleanup: Cleanup::Delete, personal: false };
///     fn key(&self) -> String {
///         let Self::Opened(Opened { door }) = self;
///         door.clone()
///     }
/// }
///
/// let (ce_type, data) = Door::Opened(Opened { door: "north".into() }).encode().unwrap();
/// assert_eq!((ce_type.as_str(), data.unwrap().as_slice()), ("door.opened.v1", br#"{"door":"north"}"#.as_slice()));
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where all of them are published.
    const TOPIC: Topic;

    /// The record's key: events of one key stay in order.
    fn key(&self) -> String;

    /// The event's type, such as `order.placed.v1`: the name that serde gives the variant.
    fn ce_type(&self) -> &'static str {
        variant::name(self)
    }

    /// Whether this event is published as a tombstone: headers and no value.
    fn is_tombstone(&self) -> bool {
        false
    }

    /// What a tombstone of `ce_type` says of `key`; `None` when that type is no tombstone.
    fn from_tombstone(ce_type: &str, key: &str) -> Option<Self> {
        let _ = (ce_type, key);
        None
    }

    /// The event's type, and its data as JSON (`None`: a tombstone).
    fn encode(&self) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
        let (ce_type, data) = codec::encode(self)?;
        Ok((ce_type, (!self.is_tombstone()).then_some(data)))
    }

    /// Whether `ce_type` is a type of this topic that this program knows.
    fn knows(ce_type: &str) -> bool {
        !matches!(codec::decode::<Self>(ce_type, b""), Err(codec::Error::UnknownType))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    fn parse(ce_type: &str, key: &str, data: Option<&[u8]>) -> Result<Self, ParseError> {
        match data {
            Some(data) => codec::decode(ce_type, data).map_err(ParseError::from),
            None => Self::from_tombstone(ce_type, key).ok_or(ParseError::Empty),
        }
    }
}

/// Why a value is not the event that its type promises.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A type that this program does not know; consumers skip it.
    #[error("unknown type")]
    UnknownType,
    /// No value, and the type is no tombstone.
    #[error("the value is empty")]
    Empty,
    /// Not JSON, or JSON of another shape.
    #[error("the value does not parse: {0}")]
    Data(#[from] serde_json::Error),
}

impl From<codec::Error> for ParseError {
    fn from(error: codec::Error) -> Self {
        match error {
            codec::Error::UnknownType => Self::UnknownType,
            codec::Error::Data(error) => Self::Data(error),
        }
    }
}
