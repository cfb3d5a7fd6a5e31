//! The records that were read together and are not applied yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Partition, Record};

/// The largest number of records of a batch, and its largest size in bytes.
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

    /// Forgets the records of revoked partitions, which another member reads now.
    pub(super) fn discard(&mut self, partitions: &BTreeSet<Partition>) {
        self.records.retain(|record| !partitions.contains(&record.origin()));
        self.bytes = self.records.iter().map(Record::bytes).sum();
    }

    /// Takes all records, by topic, each partition in log order.
    pub(super) fn take(&mut self) -> BTreeMap<String, Vec<Record>> {
        let mut topics: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in std::mem::take(self).records {
            topics.entry(record.topic.clone()).or_default().push(record);
        }
        topics
    }
}
