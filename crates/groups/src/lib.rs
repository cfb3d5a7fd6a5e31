//! Lists the members of a consumer group and the partitions that each is assigned, with a client that is in no group.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The client id; with the host where several members have the same one, as instances in containers do.
    pub name: String,
    /// The assigned topics (full names) and partitions.
    pub assigned: Vec<(String, i32)>,
}

/// Returns the members of `group`. Blocks, at most for `timeout`.
pub fn members<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    timeout: Duration,
) -> KafkaResult<Vec<Member>> {
    let groups = client.fetch_group_list(Some(group), timeout)?;
    let all: Vec<_> = groups.groups().iter().flat_map(rdkafka::groups::GroupInfo::members).collect();
    let member = |member: &&rdkafka::groups::GroupMemberInfo| {
        let (id, host) = (member.client_id(), member.client_host().trim_start_matches('/'));
        let is_ambiguous = all.iter().filter(|other| other.client_id() == id).count() > 1;
        Member {
            name: if is_ambiguous { format!("{id}@{host}") } else { id.to_owned() },
            assigned: partitions(member.assignment().unwrap_or_default()),
        }
    };
    Ok(all.iter().map(member).collect())
}

/// Decodes the assignment of a member of a classic group: a version, then topics with their partitions (Kafka's
/// `ConsumerProtocolAssignment`). Returns the pairs of topic and partition up to the first byte that cannot be decoded.
fn partitions(bytes: &[u8]) -> Vec<(String, i32)> {
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
    use super::partitions;

    #[test]
    fn topics_and_partitions_are_decoded_up_to_the_first_invalid_byte() {
        let bytes = b"\0\x01\0\0\0\x02\0\x02ab\0\0\0\x02\0\0\0\0\0\0\0\x07\0\x01c\0\0\0\x01\0\0\0\x03\xff\xff\xff\xff";
        let expected = [("ab".to_owned(), 0), ("ab".to_owned(), 7), ("c".to_owned(), 3)];
        assert_eq!(partitions(bytes), expected);
        assert_eq!(partitions(&bytes[..20]), expected[..1]);
        assert!(partitions(b"").is_empty());
    }
}
