//! Watches Kafka every two seconds beside the session: whether the topics exist, how far each partition is behind, and which
//! partitions are out of range or make no progress. It continues while the session waits for its database, so that the lag
//! stays true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envelope::Topic;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::alarms::Alarms;
use super::context::Context;
use super::status::ConsumerStatus;
use crate::assignment::Assignment;
use crate::logs::{self, Logs};
use crate::positions::Positions;
use crate::record::Partition;
use crate::settings::Settings;
use crate::stale_client::StaleClient;
use crate::topics::{self, TopicsError};
use crate::{kafka, pause};

const EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);
/// A check and the pause after it take longer only when Kafka answers late, or when this process stood still.
const LATE: Duration = Duration::from_secs(4);

pub(super) struct Monitor {
    pub settings: Settings,
    pub topics: Vec<Topic>,
    pub consumer: Arc<StreamConsumer<Context>>,
    pub assignment: Arc<Assignment>,
    pub status: watch::Sender<ConsumerStatus>,
    /// Cancelled when this client cannot find a Kafka that other clients reach.
    pub stale_client: CancellationToken,
    pub alarms: Alarms,
}

impl Monitor {
    /// Watches until `stop`; a running request ends first, at most [`TIMEOUT`] later. Returns whether Kafka failed to answer
    /// at some time, or this process stood still, as on a machine that was suspended.
    pub(super) async fn run(mut self, stop: CancellationToken) -> bool {
        let mut outage = false;
        let mut stale_client = StaleClient::new(self.settings.clone());
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
        let (consumer, settings, topics) =
            (Arc::clone(&self.consumer), self.settings.clone(), self.topics.clone());
        let asked = kafka::blocking(move || {
            let found =
                topics::check(consumer.client(), &settings, settings.names_of(&topics), TIMEOUT).map(drop);
            let bounds = || logs::bounds(&*consumer, &settings, &partitions, TIMEOUT).ok();
            let logs = if is_answer(&found) { bounds() } else { None };
            (found, logs)
        });
        let (found, logs) = match asked.await {
            Some((found, logs)) => (Some(found), logs),
            None => (None, None),
        };
        if let Some(logs) = logs {
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
        gauge_lag(positions, logs);
        self.assignment.judge(positions, logs, suspected);
        let out_of_range = self.assignment.out_of_range();
        self.alarms.report_out_of_range(&out_of_range, &self.settings, &self.topics);
        if self.status.borrow().stuck.is_some() {
            return self.alarms.reset_progress();
        }
        let ends: BTreeMap<_, _> = logs.iter().map(|(partition, log)| (partition.clone(), log.end)).collect();
        let behind = self.assignment.behind(&ends, |(topic, number), end| {
            self.consumer.context().has_fetched(&self.settings.topic_name(topic), *number, end)
        });
        self.alarms.watch_progress(&self.assignment, &behind, &ends, &self.settings.service);
    }

    fn report(&mut self, found: Result<(), TopicsError>) {
        let mut stopped = self.alarms.texts();
        stopped.extend(self.consumer.context().lacking());
        let reached = found.is_ok();
        let trouble = found.err().map(|error| (error.for_operator(), error.to_string()));
        stopped.extend(trouble.iter().flat_map(|(texts, _)| texts.clone()));
        let mut was_reached = reached;
        self.status.send_if_modified(|status| {
            was_reached = std::mem::replace(&mut status.reached, reached);
            let changed = was_reached != reached || status.stopped != stopped;
            status.stopped = stopped;
            changed
        });
        match trouble {
            Some((_, text)) if was_reached => tracing::warn!("{text}; waiting for it"),
            None if !was_reached => tracing::info!("Kafka answers again"),
            _ => {}
        }
    }
}

fn is_answer(found: &Result<(), TopicsError>) -> bool {
    found.as_ref().err().is_none_or(TopicsError::is_answer)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn gauge_lag(positions: &Positions, logs: &Logs) {
    for ((topic, number), position) in positions {
        if let Some(log) = logs.get(&(topic.clone(), *number)) {
            let lag = (log.end - position.next.max(log.start)).max(0);
            metrics::gauge!("consumer_lag", "topic" => topic.clone(), "partition" => number.to_string())
                .set(lag as f64);
        }
    }
}
