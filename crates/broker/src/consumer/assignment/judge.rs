//! What Kafka's logs say about the partitions that are held.

use std::ops::Range;

use super::Assignment;
use super::reading::{Check, Reading};
use crate::consumer::out_of_range::Why;
use crate::logs::Logs;
use crate::positions::{Partition, Positions};

impl Assignment {
    /// Whether Kafka refused a position since this was last asked.
    pub(in crate::consumer) fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.lock().suspected)
    }

    /// Kafka could not be asked about it; the next look will.
    pub(in crate::consumer) fn keep_suspicion(&self) {
        self.lock().suspected = true;
    }

    /// Compares the positions with the logs, which were asked for after the positions were read. Decides which partitions
    /// are lost, and has those read again that may be silent: librdkafka does not resume what Kafka refused.
    pub(in crate::consumer) fn judge(&self, read: &Positions, logs: &Logs, suspected: bool) {
        let mut inner = self.lock();
        let mut again = Vec::new();
        for (partition, position) in read {
            let (Some(log), Some(reading)) = (logs.get(partition), inner.partitions.get_mut(partition))
            else {
                continue;
            };
            // Else it has moved meanwhile.
            if reading.position == *position && reading.compare(partition, log, suspected) {
                again.push(partition.clone());
            }
        }
        drop(inner);
        if !again.is_empty() {
            self.want(again);
        }
    }
}

impl Reading {
    /// Whether the partition is to be read again.
    fn compare(&mut self, partition: &Partition, log: &Range<i64>, suspected: bool) -> bool {
        self.start = Some(log.start);
        let outside = Why::of(&self.position, log);
        if let Some(lost) = &mut self.lost {
            match (lost.why, outside) {
                (Why::Rewritten { .. }, _) => {}
                (_, Some(outside)) => lost.why = outside,
                // It has grown past the position. Whether it is still the same log, the last record shows.
                (_, None) if self.position.last.is_some() => {
                    self.lost = None;
                    return true;
                }
                (_, None) => {}
            }
            return false;
        }
        match outside {
            Some(outside) if suspected || self.check == Check::Awaited => {
                self.lose(partition, outside);
                false
            }
            Some(_) => false,
            None if self.check == Check::Missing && !self.is_last_expired() => {
                self.lose(partition, Why::Rewritten { found: None });
                false
            }
            None => suspected || self.check == Check::Missing,
        }
    }
}
