//! What is reported of partitions that are not read: in the status while it lasts, and once in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use envelope::Topic;
use time::OffsetDateTime;

use super::assignment::Assignment;
use super::out_of_range::{OffsetOutOfRange, Owner};
use super::progress::{Progress, REPORT};
use crate::positions::Partition;
use crate::settings::Settings;

/// A partition that is not read, since when, and what an operator should know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alarm {
    partition: Partition,
    since: OffsetDateTime,
    text: String,
}

/// The present alarms of one member of the group.
#[derive(Default)]
pub(super) struct Alarms {
    progress: Progress,
    still: BTreeMap<Partition, Alarm>,
    lost: Vec<Alarm>,
    /// Those that are in the log.
    told: BTreeSet<(Partition, OffsetDateTime)>,
}

impl Alarms {
    /// Nothing could move: Kafka does not answer, or a batch is being retried, which is reported already.
    pub(super) fn excuse(&mut self) {
        self.progress.excuse();
        self.still.clear();
    }

    /// Has the partitions assigned again that stand still, and reports those that go on standing. `behind` are the
    /// positions of those that have something to read, `ends` the ends of the logs.
    pub(super) fn watch_progress(
        &mut self,
        assignment: &Assignment,
        behind: &BTreeMap<Partition, i64>,
        ends: &BTreeMap<Partition, i64>,
        service: &str,
    ) {
        let still = self.progress.look(Instant::now(), behind);
        if !still.assign_again.is_empty() {
            tracing::info!(partitions = ?still.assign_again, "partitions stand still; assigning them again");
            assignment.want(still.assign_again);
        }
        self.still.retain(|partition, _| still.report.contains(partition));
        for partition in still.report {
            let (Some(next), Some(end)) = (behind.get(&partition), ends.get(&partition)) else { continue };
            self.still.entry(partition.clone()).or_insert_with(|| {
                let ((topic, number), seconds, unread) = (&partition, REPORT.as_secs(), end - next);
                let text = format!(
                    "{topic}/{number} stands still at offset {next} with {unread} records to read: nothing of it was \
                     applied for {seconds} s, also after it was assigned again. See the log of {service}, and restart it"
                );
                Alarm { partition, since: OffsetDateTime::now_utc(), text }
            });
        }
    }

    /// Reports the partitions that are lost, of these topics.
    pub(super) fn report_lost(&mut self, lost: &[OffsetOutOfRange], settings: &Settings, topics: &[Topic]) {
        let alarm = |lost: &OffsetOutOfRange| {
            let topic = topics.iter().find(|topic| topic.name == lost.partition.0);
            let owner = topic
                .map(|topic| Owner { program: settings.program_of(topic.owner), cleanup: topic.cleanup });
            Alarm {
                partition: lost.partition.clone(),
                since: lost.since,
                text: lost.explain(&settings.program, owner.as_ref()),
            }
        };
        self.lost = lost.iter().map(alarm).collect();
    }

    /// The present alarms' texts; those that are new go to the log.
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pub(super) fn texts(&mut self) -> Vec<String> {
        let alarms: Vec<&Alarm> = self.lost.iter().chain(self.still.values()).collect();
        let present: BTreeSet<_> =
            alarms.iter().map(|alarm| (alarm.partition.clone(), alarm.since)).collect();
        for alarm in &alarms {
            if !self.told.contains(&(alarm.partition.clone(), alarm.since)) {
                tracing::error!(topic = alarm.partition.0, partition = alarm.partition.1, "{}", alarm.text);
            }
        }
        self.told = present;
        metrics::gauge!("consumer_stopped_partitions").set(alarms.len() as f64);
        alarms.into_iter().map(|alarm| alarm.text.clone()).collect()
    }
}
