//! Lists the members of a consumer group and the partitions that each is assigned, with a client that is in no group.

mod assignment;

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
            assigned: assignment::parse(member.assignment().unwrap_or_default()),
        }
    };
    Ok(all.iter().map(member).collect())
}
