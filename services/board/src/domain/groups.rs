//! The consumer groups: members, their partitions, and the lag of each partition.

use std::collections::{BTreeMap, BTreeSet};

use broker::maintenance::{Logs, Partition};
use serde::Serialize;

/// A group as Kafka describes it, its topics without the system's prefix.
#[derive(Debug, Default)]
pub(crate) struct SeenGroup {
    pub service: String,
    /// The name of each member, and the partitions that it is assigned.
    pub members: Vec<(String, Vec<Partition>)>,
    pub committed: BTreeMap<Partition, i64>,
}

/// A group as the board shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    pub service: String,
    pub members: Vec<Member>,
    pub readings: Vec<Reading>,
    pub lag: i64,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Member {
    pub name: String,
    pub partitions: usize,
}

/// A topic that a group reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reading {
    pub topic: String,
    pub lag: i64,
    pub lanes: Vec<Lane>,
}

/// A partition that a group reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Lane {
    pub partition: i32,
    pub lag: i64,
    /// The number of the member that holds the partition, from 1; 0 for none.
    pub member: usize,
}

/// The groups at the last look, and the topics that each was ever seen to read.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    seen: Vec<SeenGroup>,
    /// A group without members still reads these, once it has members again.
    topics: BTreeSet<(String, String)>,
}

impl Groups {
    pub(crate) fn update(&mut self, seen: Vec<SeenGroup>) {
        for group in &seen {
            let assigned = group.members.iter().flat_map(|(_, partitions)| partitions);
            let topics = assigned.chain(group.committed.keys()).map(|(topic, _)| topic.clone());
            self.topics.extend(topics.map(|topic| (group.service.clone(), topic)));
        }
        self.seen = seen;
    }

    /// Returns the groups with their lag in these logs.
    pub(super) fn show(&self, logs: &Logs) -> Vec<Group> {
        self.seen.iter().map(|group| self.show_one(group, logs)).collect()
    }

    fn show_one(&self, group: &SeenGroup, logs: &Logs) -> Group {
        let topics = self.topics.iter().filter(|(service, _)| *service == group.service);
        let readings: Vec<Reading> = topics.filter_map(|(_, topic)| reading(group, topic, logs)).collect();
        let member = |(name, partitions): &(String, Vec<Partition>)| Member {
            name: name.clone(),
            partitions: partitions.len(),
        };
        Group {
            service: group.service.clone(),
            members: group.members.iter().map(member).collect(),
            lag: readings.iter().map(|reading| reading.lag).sum(),
            readings,
        }
    }
}

/// `None`: the board does not read the topic, so it does not know its end.
fn reading(group: &SeenGroup, topic: &str, logs: &Logs) -> Option<Reading> {
    let logs = logs.iter().filter(|((of, _), _)| of == topic);
    let lanes: Vec<Lane> = logs
        .map(|(partition, log)| {
            let holds = |(_, held): &(String, Vec<Partition>)| held.contains(partition);
            // A group that has read nothing of a partition has committed nothing.
            let next = group.committed.get(partition).copied().unwrap_or(log.start);
            Lane {
                partition: partition.1,
                lag: (log.end - next.max(log.start)).max(0),
                member: group.members.iter().position(holds).map_or(0, |index| index + 1),
            }
        })
        .collect();
    let lag = lanes.iter().map(|lane| lane.lag).sum();
    (!lanes.is_empty()).then(|| Reading { topic: topic.to_owned(), lag, lanes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_whose_members_are_gone_still_has_its_lag() {
        let at = |partition| ("orders".to_owned(), partition);
        let logs: Logs = [(at(0), 5..9), (at(1), 0..3)].into();
        let mut groups = Groups::default();
        let member = ("payment-1".to_owned(), vec![at(0), at(1)]);
        let committed: BTreeMap<Partition, i64> = [(at(0), 8)].into();
        let seen =
            SeenGroup { service: "payment".to_owned(), members: vec![member], committed: committed.clone() };
        groups.update(vec![seen]);
        assert_eq!(groups.show(&logs)[0].readings[0].lanes[1], Lane { partition: 1, lag: 3, member: 1 });
        groups.update(vec![SeenGroup { service: "payment".to_owned(), members: vec![], committed }]);
        let shown = &groups.show(&logs)[0];
        assert_eq!((shown.lag, shown.members.len(), shown.readings[0].lanes[0].member), (4, 0, 0));
    }
}
