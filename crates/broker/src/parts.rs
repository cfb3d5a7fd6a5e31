//! The division of a refused batch down to the record at fault.

use std::ops::Range;

/// The parts of a batch that are not applied yet, in the order of the batch.
#[derive(Debug)]
pub struct Parts(Vec<Range<usize>>);

impl Parts {
    /// Returns a batch of `length` records as one part.
    pub fn whole(length: usize) -> Self {
        let mut parts = Self(Vec::new());
        parts.put_back(0..length);
        parts
    }

    /// Takes the next part, which is never empty.
    pub fn take_next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// Puts a part back to be taken again.
    pub fn put_back(&mut self, part: Range<usize>) {
        if !part.is_empty() {
            self.0.push(part);
        }
    }

    /// Puts a part back as two halves.
    pub fn put_back_halves(&mut self, part: &Range<usize>) {
        let middle = part.start + part.len() / 2;
        self.put_back(middle..part.end);
        self.put_back(part.start..middle);
    }

    /// Puts a part back as three: the records before `index`, the record itself, and the records after it.
    pub fn put_back_around(&mut self, part: &Range<usize>, index: usize) {
        self.put_back(index + 1..part.end);
        self.put_back(index..index + 1);
        self.put_back(part.start..index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(mut parts: Parts) -> Vec<usize> {
        std::iter::from_fn(|| parts.take_next()).flatten().collect()
    }

    #[test]
    fn a_divided_batch_keeps_its_records_and_their_order() {
        let mut parts = Parts::whole(0);
        parts.put_back_halves(&(3..8));
        assert_eq!(records(parts), [3, 4, 5, 6, 7]);
        for index in 3..8 {
            let mut parts = Parts::whole(0);
            parts.put_back_around(&(3..8), index);
            assert_eq!(records(parts), [3, 4, 5, 6, 7]);
        }
        let mut parts = Parts::whole(2);
        assert_eq!(parts.take_next(), Some(0..2));
        assert_eq!(parts.take_next(), None);
    }
}
