//! Watches Kafka every two seconds beside the session: whether the topics exist, how far each partition is behind, and which
//! partitions are out of range or make no progress. It continues while the session waits for its database, so that the lag
//! stays true.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use tokio_util::sync::CancellationToken;

use super::alarms::Alarms;
use super::context::Context;
use super::shared::Shared;
use crate::assignment::Assignment;
use crate::logs::{self, Logs};
use crate::positions::Positions;
use crate::record::Partition;
use crate::stale_client::StaleClient;
use crate::topics::{self, TopicsError};
use crate::{pause, reader};

const EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);
/// A check and the pause after it take longer only when Kafka answers late, or when this process stood still.
const LATE: Duration = Duration::from_secs(4);

pub(super) struct Monitor {
    pub shared: Arc<Shared>,
    pub consumer: Arc<StreamConsumer<Context>>,
    pub assignment: Arc<Assignment>,
    /// Cancelled when this client cannot find a Kafka that other clients reach.
    pub stale_client: CancellationToken,
    pub alarms: Alarms,
}

impl Monitor {
    /// Watches until `stop`; a running request ends first, at most [`TIMEOUT`] later. Returns whether Kafka failed to answer
    /// at some time, or this process stood still, as on a machine that was suspended.
    pub(super) async fn run(mut self, stop: CancellationToken) -> bool {
        let mut outage = false;
        let mut stale_client = StaleClient::new(self.shared.settings.clone());
        loop {
            let began = Instant::now();
            if self.check().await {
                stale_client.reached();
            } else {
                outage = true;
                if stale_client.missed().await {
                    self.stale_client.cancel();
                }
            }
            tokio::select! {
                () = stop.cancelled() => return outage || began.elapsed() > LATE,
                () = self.assignment.suspicion() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            outage |= began.elapsed() > LATE;
        }
    }

    /// Checks topics and positions once, and returns whether Kafka answered.
    async fn check(&mut self) -> bool {
        let suspected = self.assignment.take_suspicion();
        if suspected {
            pause::at("monitor.suspects").await;
        }
        // Kafka is asked after the positions are read, so that a position that advances meanwhile is not beyond the end.
        let positions = self.assignment.positions();
        let partitions: Vec<Partition> = positions.keys().cloned().collect();
        let (consumer, shared) = (Arc::clone(&self.consumer), Arc::clone(&self.shared));
        let asked = reader::blocking(move || {
            let (settings, names) = (&shared.settings, shared.settings.names_of(&shared.topics()));
            let found = topics::check(consumer.client(), settings, names, TIMEOUT);
            let found = found.unwrap_or_else(|error| Err(TopicsError::unreachable(settings, error)));
            let found = found.map(drop);
            let bounds = || logs::bounds(&*consumer, settings, &partitions, TIMEOUT).ok();
            let logs = if is_answer(&found) { bounds() } else { None };
            (found, logs)
        });
        let (found, logs) = asked.await.unzip();
        if let Some(logs) = logs.flatten() {
            self.compare(&positions, &logs, suspected);
        } else {
            self.alarms.pass_over();
            if suspected {
                self.assignment.keep_suspicion();
            }
        }
        let Some(found) = found else { return false };
        let answered = is_answer(&found);
        self.report(found);
        answered
    }

    fn compare(&mut self, positions: &Positions, logs: &Logs, suspected: bool) {
        let settings = &self.shared.settings;
        self.gauge_lag(positions, logs);
        self.assignment.judge(positions, logs, suspected);
        let out_of_range = self.assignment.out_of_range();
        self.alarms.report_out_of_range(&out_of_range, settings, &self.shared.topics());
        if self.shared.status.borrow().stuck.is_some() {
            return self.alarms.reset_progress();
        }
        let ends: BTreeMap<_, _> = logs.iter().map(|(partition, log)| (partition.clone(), log.end)).collect();
        let behind = self.assignment.behind(&ends, |(topic, number), end| {
            self.consumer.context().has_fetched(&settings.topic_name(topic), *number, end)
        });
        self.alarms.watch_progress(&self.assignment, &behind, &ends, &settings.service);
    }

    /// Publishes the lag of each partition. One that another member has now gets 0, so that a sum over the members is right.
    fn gauge_lag(&self, positions: &Positions, logs: &Logs) {
        let mut gauged = self.shared.gauged.lock().unwrap_or_else(PoisonError::into_inner);
        gauged.retain(|partition| {
            let is_own = positions.contains_key(partition);
            if !is_own {
                set_lag(partition, 0);
            }
            is_own
        });
        for (partition, position) in positions {
            if let Some(log) = logs.get(partition) {
                set_lag(partition, (log.end - position.next.max(log.start)).max(0));
                gauged.insert(partition.clone());
            }
        }
    }

    fn report(&mut self, found: Result<(), TopicsError>) {
        let mut stopped = self.alarms.texts();
        stopped.extend(self.consumer.context().lacking());
        let error = found.err();
        stopped.extend(error.iter().flat_map(TopicsError::for_operator));
        let reached = error.is_none();
        let mut was_reached = reached;
        self.shared.status.send_if_modified(|status| {
            was_reached = std::mem::replace(&mut status.reached, reached);
            let changed = was_reached != reached || status.stopped != stopped;
            status.stopped = stopped;
            changed
        });
        match error {
            Some(error) if was_reached => tracing::warn!("{error}; waiting for it"),
            None if !was_reached => tracing::info!("Kafka answers again"),
            _ => {}
        }
    }
}

fn is_answer(found: &Result<(), TopicsError>) -> bool {
    found.as_ref().err().is_none_or(TopicsError::is_answer)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn set_lag((topic, number): &Partition, lag: i64) {
    metrics::gauge!("consumer_lag", "topic" => topic.clone(), "partition" => number.to_string())
        .set(lag as f64);
}
