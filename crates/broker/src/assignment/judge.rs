//! Compares the positions of assigned partitions with Kafka's logs.

use std::ops::Range;

use super::Assignment;
use super::out_of_range::Reason;
use super::reading::{Reading, Verification};
use crate::logs::Logs;
use crate::positions::Positions;
use crate::record::Partition;

impl Assignment {
    /// Returns whether Kafka has refused a position since the last call.
    pub(crate) fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.lock().suspected)
    }

    /// Keeps a suspicion for the next comparison, because Kafka did not answer this time.
    pub(crate) fn keep_suspicion(&self) {
        self.lock().suspected = true;
    }

    /// Compares `positions` with the logs, which were requested after the positions were read. Decides which partitions
    /// cannot be read, and restarts the others that may be silent: librdkafka does not resume a partition whose position
    /// Kafka refused.
    pub(crate) fn judge(&self, positions: &Positions, logs: &Logs, suspected: bool) {
        let mut inner = self.lock();
        let mut restarts = Vec::new();
        for (partition, position) in positions {
            let (Some(log), Some(reading)) = (logs.get(partition), inner.partitions.get_mut(partition))
            else {
                continue;
            };
            // A position that has moved meanwhile is not compared.
            if reading.position == *position && reading.compare(partition, log, suspected) {
                restarts.push(partition.clone());
            }
        }
        drop(inner);
        if !restarts.is_empty() {
            self.request_restart(restarts);
        }
    }
}

impl Reading {
    /// Compares the position with the log, and returns whether the partition must be started again.
    fn compare(&mut self, partition: &Partition, log: &Range<i64>, suspected: bool) -> bool {
        self.log_start = Some(log.start);
        let outside = Reason::of(&self.position, log);
        if let Some(out_of_range) = &mut self.out_of_range {
            match (out_of_range.reason, outside) {
                (Reason::Replaced { .. }, _) => {}
                (_, Some(outside)) => out_of_range.reason = outside,
                // The log has grown past the position. The last record shows whether it is still the same log.
                (_, None) if self.position.last.is_some() => {
                    self.out_of_range = None;
                    return true;
                }
                (_, None) => {}
            }
            return false;
        }
        match outside {
            Some(outside) if suspected || self.verification == Verification::Pending => {
                self.stop(partition, outside);
                false
            }
            Some(_) => false,
            None if self.verification == Verification::Missing && !self.is_last_expired() => {
                self.stop(partition, Reason::Replaced { found: None });
                false
            }
            None => suspected || self.verification == Verification::Missing,
        }
    }
}
