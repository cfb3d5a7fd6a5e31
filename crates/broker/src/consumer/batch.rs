//! The records that were read together and are not settled yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::positions::Partition;
use crate::record::Record;

/// How many records, and how many bytes, a batch has at most.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.bytes();
        self.records.push(record);
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= RECORDS || self.bytes >= BYTES
    }

    /// Forgets what came from these partitions: somebody else reads them now.
    pub(super) fn void(&mut self, partitions: &BTreeSet<Partition>) {
        self.records.retain(|record| !partitions.contains(&record.origin()));
        self.bytes = self.records.iter().map(Record::bytes).sum();
    }

    /// All of it, a topic at a time, each partition in log order; the batch is empty then.
    pub(super) fn take(&mut self) -> BTreeMap<String, Vec<Record>> {
        let mut topics: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in std::mem::take(self).records {
            topics.entry(record.topic.clone()).or_default().push(record);
        }
        topics
    }
}
