//! Decodes the assignment of a member of a classic consumer group: a version, then topics with their partitions
//! (Kafka's `ConsumerProtocolAssignment`).

/// Returns the topic and partition pairs of an assignment, up to the first byte that cannot be decoded.
pub(crate) fn parse(bytes: &[u8]) -> Vec<(String, i32)> {
    let mut found = Vec::new();
    _ = read(&mut Bytes(bytes), &mut found);
    found
}

fn read(bytes: &mut Bytes<'_>, found: &mut Vec<(String, i32)>) -> Option<()> {
    let _version = bytes.take(2)?;
    for _ in 0..bytes.int()? {
        let length = bytes.take(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let topic = String::from_utf8_lossy(bytes.take(length)?).into_owned();
        for _ in 0..bytes.int()? {
            found.push((topic.clone(), bytes.int()?));
        }
    }
    Some(())
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn topics_and_partitions_are_decoded_up_to_the_first_invalid_byte() {
        let bytes = b"\0\x01\0\0\0\x02\0\x02ab\0\0\0\x02\0\0\0\0\0\0\0\x07\0\x01c\0\0\0\x01\0\0\0\x03\xff\xff\xff\xff";
        let expected = [("ab".to_owned(), 0), ("ab".to_owned(), 7), ("c".to_owned(), 3)];
        assert_eq!(parse(bytes), expected);
        assert_eq!(parse(&bytes[..20]), expected[..1]);
        assert!(parse(b"").is_empty());
    }
}
