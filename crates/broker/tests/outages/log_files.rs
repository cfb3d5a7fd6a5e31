//! Changes Kafka's log files while Kafka is down, as a power cut does that loses an unflushed tail, with other records in its
//! place before a reader comes back.

use std::fs;
use std::path::PathBuf;

use crate::private::PrivateBank;
use crate::support::Raw;

/// The places of fields in a record batch (version 2). Its checksum does not cover the first offset.
const LENGTH: usize = 8;
const LAST_OFFSET_DELTA: usize = 23;
/// The size of the part before the one that `LENGTH` counts.
const HEAD: usize = 12;

/// A topic that is otherwise unused in these tests, for the records that replace a log's end.
pub(crate) const SPARE: &str = "dlq.till";

impl PrivateBank {
    /// Writes each record in a batch of its own, so that the log can be truncated after each.
    pub(crate) async fn produce_one_by_one(&self, topic: &str, partition: i32, records: &[Raw]) {
        for record in records {
            self.produce(topic, partition, std::slice::from_ref(record)).await;
        }
    }

    /// Truncates a partition of `deposits` after its first `keep` records, and appends all records of the same partition of the
    /// spare topic. Kafka must have been killed.
    pub(crate) fn replace_end(&self, partition: i32, keep: i64) {
        let (log, spare) = (self.segment("deposits", partition), self.segment(SPARE, partition));
        let mut bytes = Vec::new();
        let mut next = 0;
        let (old, new) = (fs::read(&log).unwrap(), fs::read(spare).unwrap());
        let kept = batches(&old).into_iter().take_while(|batch| first_offset(batch) < keep);
        for mut batch in kept.chain(batches(&new)) {
            batch[..LENGTH].copy_from_slice(&i64::to_be_bytes(next));
            next += i64::from(number(&batch, LAST_OFFSET_DELTA)) + 1;
            bytes.extend(batch);
        }
        fs::write(&log, bytes).unwrap();
        // Kafka creates these files again from the log.
        for file in fs::read_dir(log.parent().unwrap()).unwrap().map(|file| file.unwrap().path()) {
            if file
                .extension()
                .is_some_and(|end| ["index", "timeindex", "snapshot"].iter().any(|old| end == *old))
            {
                fs::remove_file(file).unwrap();
            }
        }
    }

    fn segment(&self, topic: &str, partition: i32) -> PathBuf {
        let folder = self.partition_log(topic, partition);
        folder.join("00000000000000000000.log")
    }
}

fn batches(mut log: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    while log.len() > HEAD {
        let size = HEAD + usize::try_from(number(log, LENGTH)).unwrap();
        // A file is longer than its records.
        if size == HEAD {
            break;
        }
        let (batch, rest) = log.split_at(size);
        batches.push(batch.to_vec());
        log = rest;
    }
    batches
}

fn first_offset(batch: &[u8]) -> i64 {
    i64::from_be_bytes(batch[..LENGTH].try_into().unwrap())
}

fn number(batch: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(batch[at..at + 4].try_into().unwrap())
}
