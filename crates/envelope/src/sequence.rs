//! The number of an event among those published for its topic and key.

use std::fmt;
use std::str::FromStr;

use crate::topic::Cleanup;

/// The lower bits of the database's bigint, which hold the number; the upper bits hold the generation.
const NUMBER_BITS: u32 = 40;
const LARGEST_NUMBER: u64 = (1 << NUMBER_BITS) - 1;
const LARGEST_GENERATION: u32 = (1 << 22) - 1;

/// The number of an event of one topic and key, from 1; 0 stands for "no event yet".
///
/// The number belongs to a generation of the publisher's database. A database that was restored from an older copy continues
/// from an older number, so its generation is raised: readers treat its later events as newer than all earlier ones.
/// Sequences compare by generation first, then by number.
///
/// On the wire the number is 20 decimal digits, zero-padded, so that it sorts as text (`ce_sequence`, the `CloudEvents`
/// sequence extension); the generation is a header of its own (`ce_generation`), absent for the first generation. In a
/// database both are one bigint. An aggregate's own version is the number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

/// The generation of a database: the number of times that it was restored from an older copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(u32);

/// The error of text that is not a sequence or a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// The text is not a sequence.
    #[error("it is not a number from 1 to {LARGEST_NUMBER}")]
    Sequence,
    /// The text is not a generation.
    #[error("it is not a number from 0 to {LARGEST_GENERATION}")]
    Generation,
}

/// The result of comparing a record's sequence with the last one applied of its topic and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next event.
    Next,
    /// An event that was applied before.
    Repeated,
    /// A later event; this many events before it are missing.
    Gap(u64),
    /// An event of a later generation: newer, whatever its number.
    Regenerated,
}

impl Sequence {
    /// The sequence before the first event.
    pub const NONE: Self = Self(0);

    /// Converts a database's bigint; `None` when it is out of range.
    pub fn from_i64(number: i64) -> Option<Self> {
        let sequence = u64::try_from(number).ok().map(Self)?;
        (sequence.0 >> NUMBER_BITS <= u64::from(LARGEST_GENERATION)).then_some(sequence)
    }

    /// Returns generation and number as one bigint for a database.
    pub fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// Returns the sequence of the next event in the same generation.
    #[must_use]
    pub fn next(self) -> Self {
        // 2⁴⁰ events of one key do not happen.
        Self(if self.number() == LARGEST_NUMBER { self.0 } else { self.0 + 1 })
    }

    /// Returns the number without the generation.
    pub fn number(self) -> u64 {
        self.0 & LARGEST_NUMBER
    }

    /// Returns the generation.
    pub fn generation(self) -> Generation {
        Generation((self.0 >> NUMBER_BITS) as u32)
    }

    /// Returns the same number in another generation.
    #[must_use]
    pub fn of(self, generation: Generation) -> Self {
        Self(u64::from(generation.0) << NUMBER_BITS | self.number())
    }

    /// Compares this sequence with the last one that was applied. Compaction removes records, so a compacted topic has no
    /// [`Arrival::Gap`].
    pub fn arrival(self, last: Self, cleanup: Cleanup) -> Arrival {
        if last != Self::NONE && self.generation() > last.generation() {
            return Arrival::Regenerated;
        }
        if self.generation() < last.generation() {
            return Arrival::Repeated;
        }
        match self.number().saturating_sub(last.number()) {
            0 => Arrival::Repeated,
            missing @ 2.. if cleanup == Cleanup::Delete => Arrival::Gap(missing - 1),
            _ => Arrival::Next,
        }
    }
}

impl Generation {
    /// The generation of a database that was never restored.
    pub const FIRST: Self = Self(0);

    /// Converts a database's integer; `None` when it is out of range.
    pub fn from_i32(number: i32) -> Option<Self> {
        u32::try_from(number).ok().filter(|number| *number <= LARGEST_GENERATION).map(Self)
    }
}

/// Writes the number without the generation.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.number())
    }
}

/// Parses a number of the first generation.
impl FromStr for Sequence {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| (1..=LARGEST_NUMBER).contains(number));
        number.map(Self).ok_or(OutOfRange::Sequence)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Generation {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number <= LARGEST_GENERATION);
        number.map(Self).ok_or(OutOfRange::Generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: i64) -> Sequence {
        Sequence::from_i64(number).unwrap()
    }

    fn of(generation: u32, number: i64) -> Sequence {
        sequence(number).of(Generation(generation))
    }

    #[test]
    fn a_sequence_is_written_as_twenty_digits() {
        assert_eq!(sequence(42).to_string(), "00000000000000000042");
        assert_eq!("00000000000000000042".parse(), Ok(sequence(42)));
        assert_eq!(of(7, 42).to_string(), sequence(42).to_string(), "the generation is a header of its own");
        for wrong in ["-1", "0", "", "1099511627776", "99999999999999999999"] {
            assert_eq!(wrong.parse::<Sequence>(), Err(OutOfRange::Sequence), "{wrong}");
        }
        assert_eq!("1099511627775".parse::<Sequence>().map(Sequence::number), Ok(LARGEST_NUMBER));
        assert_eq!("4194304".parse::<Generation>(), Err(OutOfRange::Generation));
    }

    #[test]
    fn an_event_is_next_repeated_or_after_a_gap() {
        let arrival = |new, last| sequence(new).arrival(sequence(last), Cleanup::Delete);
        assert_eq!(arrival(1, 0), Arrival::Next);
        assert_eq!(arrival(3, 3), Arrival::Repeated);
        assert_eq!(arrival(2, 3), Arrival::Repeated);
        assert_eq!(arrival(6, 3), Arrival::Gap(2));
        assert_eq!(sequence(6).arrival(sequence(3), Cleanup::Compact), Arrival::Next);
    }

    #[test]
    fn a_later_generation_is_newer_whatever_its_number() {
        let arrival = |new: Sequence, last| new.arrival(last, Cleanup::Delete);
        assert_eq!(arrival(of(1, 2), of(0, 2)), Arrival::Regenerated);
        assert_eq!(arrival(of(1, 1), of(0, 3)), Arrival::Regenerated);
        assert_eq!(arrival(of(3, 9), of(1, 3)), Arrival::Regenerated);
        assert_eq!(arrival(of(0, 9), of(1, 3)), Arrival::Repeated, "the restored database does not know it");
        assert_eq!(arrival(of(1, 3), of(1, 3)), Arrival::Repeated);
        assert_eq!(arrival(of(1, 4), of(1, 3)), Arrival::Next);
        assert_eq!(arrival(of(1, 6), of(1, 3)), Arrival::Gap(2));
        assert_eq!(of(2, 9).max(of(3, 1)), of(3, 1));
    }

    #[test]
    fn for_a_new_key_the_generation_does_not_count() {
        assert_eq!(of(4, 1).arrival(Sequence::NONE, Cleanup::Delete), Arrival::Next);
        assert_eq!(of(4, 3).arrival(Sequence::NONE, Cleanup::Delete), Arrival::Gap(2));
    }

    #[test]
    fn generation_and_number_are_one_bigint() {
        assert_eq!(sequence(42).to_i64(), 42, "the first generation's are plain numbers");
        let last = sequence(i64::try_from(LARGEST_NUMBER).unwrap()).of(Generation(LARGEST_GENERATION));
        for sequence in [of(1, 1), of(5, 42), last] {
            assert_eq!(Sequence::from_i64(sequence.to_i64()), Some(sequence));
            assert!(sequence.to_i64() > 0);
        }
        assert_eq!(of(5, 42).of(Generation::FIRST), sequence(42));
        assert_eq!((Sequence::from_i64(-1), Sequence::from_i64(i64::MAX)), (None, None));
        assert_eq!(last.next(), last);
    }
}
