//! Reports partitions that are not read: in the status while that lasts, and once in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use envelope::Topic;
use time::OffsetDateTime;

use super::progress::{Progress, REPORT};
use crate::assignment::{Assignment, OffsetOutOfRange, Owner};
use crate::record::Partition;
use crate::settings::Settings;

/// A partition that is not read, and the text for the operator.
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
    stalled: BTreeMap<Partition, Alarm>,
    out_of_range: Vec<Alarm>,
    logged: BTreeSet<(Partition, OffsetDateTime)>,
}

impl Alarms {
    /// Forgets partitions without progress: none was possible, because a batch is being retried, which is reported elsewhere.
    pub(super) fn reset_progress(&mut self) {
        self.progress.reset();
        self.stalled.clear();
    }

    /// Leaves out the time since the last look, because Kafka did not answer.
    pub(super) fn pass_over(&mut self) {
        self.progress.pass_over(Instant::now());
    }

    /// Restarts partitions without progress, and reports those that a restart does not help. `behind` are the positions of
    /// the partitions that have records to read, `ends` the ends of the logs.
    pub(super) fn watch_progress(
        &mut self,
        assignment: &Assignment,
        behind: &BTreeMap<Partition, i64>,
        ends: &BTreeMap<Partition, i64>,
        service: &str,
    ) {
        let stalled = self.progress.observe(Instant::now(), behind);
        if !stalled.assign_again.is_empty() {
            tracing::info!(partitions = ?stalled.assign_again, "partitions make no progress; assigning them again");
            assignment.request_restart(stalled.assign_again);
        }
        self.stalled.retain(|partition, _| stalled.report.contains(partition));
        for partition in stalled.report {
            let (Some(next), Some(end)) = (behind.get(&partition), ends.get(&partition)) else { continue };
            self.stalled.entry(partition.clone()).or_insert_with(|| {
                let ((topic, number), seconds, unread) = (&partition, REPORT.as_secs(), end - next);
                let text = format!(
                    "{topic}/{number} makes no progress at offset {next} with {unread} records to read: none of them was \
                     applied for {seconds} s, although the partition was assigned again. See the log of {service}, and \
                     restart it"
                );
                Alarm { partition, since: OffsetDateTime::now_utc(), text }
            });
        }
    }

    /// Reports the partitions of `topics` whose positions are out of range.
    pub(super) fn report_out_of_range(
        &mut self,
        out_of_range: &[OffsetOutOfRange],
        settings: &Settings,
        topics: &[Topic],
    ) {
        let alarm = |found: &OffsetOutOfRange| {
            let topic = topics.iter().find(|topic| topic.name == found.partition.0);
            let owner = topic
                .map(|topic| Owner { program: settings.program_of(topic.owner), cleanup: topic.cleanup });
            Alarm {
                partition: found.partition.clone(),
                since: found.noticed_at,
                text: found.explain(&settings.program, owner.as_ref()),
            }
        };
        self.out_of_range = out_of_range.iter().map(alarm).collect();
    }

    /// Returns the texts of the present alarms, and logs those that are new.
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pub(super) fn texts(&mut self) -> Vec<String> {
        let alarms: Vec<&Alarm> = self.out_of_range.iter().chain(self.stalled.values()).collect();
        let present: BTreeSet<_> =
            alarms.iter().map(|alarm| (alarm.partition.clone(), alarm.since)).collect();
        for alarm in &alarms {
            if !self.logged.contains(&(alarm.partition.clone(), alarm.since)) {
                tracing::error!(topic = alarm.partition.0, partition = alarm.partition.1, "{}", alarm.text);
            }
        }
        self.logged = present;
        metrics::gauge!("consumer_stopped_partitions").set(alarms.len() as f64);
        alarms.into_iter().map(|alarm| alarm.text.clone()).collect()
    }
}
