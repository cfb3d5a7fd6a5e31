//! Values as a client gives them, and the error for a forbidden one.

use serde::Deserialize;

/// The error for a forbidden value; the message says which values are allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(super) &'static str);

/// A value from a client, checked by today's rules. Stored values and events are read by the weaker rules of earlier
/// versions, under which they were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String", bound = "T: Give")]
pub struct Given<T>(pub T);

/// A value with stricter rules for clients than for databases and topics.
pub trait Give: Sized {
    /// Parses the `text` of a client by the stricter rules.
    fn give(text: String) -> Result<Self, Invalid>;
}

impl<T: Give> TryFrom<String> for Given<T> {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        T::give(text).map(Self)
    }
}
