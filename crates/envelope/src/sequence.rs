//! The number of an event among those published for its topic and key.

use std::fmt;
use std::str::FromStr;

use crate::Cleanup;

/// Counts the events of one topic and key, from 1; 0 stands for "none seen yet".
///
/// On the wire it is 20 decimal digits, zero-padded, so that it sorts as text (`ce_sequence`, the `CloudEvents` sequence
/// extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

/// What a record's sequence says, held against the last one seen of its topic and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one.
    Next,
    /// Not newer than what was seen: its effect is already there.
    Repeated,
    /// Newer by more than one: so many events in between are missing.
    Gap(u64),
}

impl Sequence {
    /// Nothing seen yet.
    pub const NONE: Self = Self(0);

    /// The number as a database keeps it; `None` when it is negative.
    pub fn from_i64(number: i64) -> Option<Self> {
        u64::try_from(number).ok().map(Self)
    }

    /// The number as a database keeps it (saturating: 2⁶³ events of one key do not happen).
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The number of the event after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Holds this one against the last one `seen`. A compacted topic has gaps by nature, so none is told there.
    pub fn arrival(self, seen: Self, cleanup: Cleanup) -> Arrival {
        match self.0.saturating_sub(seen.0) {
            0 => Arrival::Repeated,
            missing @ 2.. if cleanup == Cleanup::Delete => Arrival::Gap(missing - 1),
            _ => Arrival::Next,
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

impl FromStr for Sequence {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u64>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: i64) -> Sequence {
        Sequence::from_i64(number).unwrap()
    }

    #[test]
    fn travels_as_twenty_digits() {
        assert_eq!(sequence(42).to_string(), "00000000000000000042");
        assert_eq!("00000000000000000042".parse(), Ok(sequence(42)));
        assert!("-1".parse::<Sequence>().is_err());
    }

    #[test]
    fn tells_the_next_from_repetitions_and_gaps() {
        let arrival = |new, seen| sequence(new).arrival(sequence(seen), Cleanup::Delete);
        assert_eq!(arrival(1, 0), Arrival::Next);
        assert_eq!(arrival(3, 3), Arrival::Repeated);
        assert_eq!(arrival(2, 3), Arrival::Repeated);
        assert_eq!(arrival(6, 3), Arrival::Gap(2));
        assert_eq!(sequence(6).arrival(sequence(3), Cleanup::Compact), Arrival::Next);
    }
}
