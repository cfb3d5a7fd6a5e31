//! The consumer: one member of the service's group, which reads from the positions in the database.
//!
//! Kafka's committed offset is never asked. On each assignment reading starts where the database says; a batch advances
//! the position with its effects; every two seconds the positions are read again, so that an operator's rewind takes
//! effect on a running service. Redelivery, kill -9, rebalances and a frozen instance that wakes up need nothing more.
//!
//! A position is only as good as the log that it stands in. At each assignment, after each lost connection, and every
//! 30 seconds on a partition where nothing happens, the record before the position is read again and compared with the
//! one that was applied. Another record there stops the partition (`held`, `lost`).

mod alarms;
mod assignment;
mod batch;
mod context;
mod monitor;
mod out_of_range;
mod progress;
mod rebalance;
mod session;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use envelope::Topic;
use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::assignment::Assignment;
use self::session::{Ended, Session};
use crate::handler::Subscription;
use crate::history;
use crate::settings::Settings;
use crate::topics::{self, TopicsError};
use crate::tx::Outbox;

/// So many fatal errors within [`FATAL_WINDOW`], while Kafka answered, end the process: another one has our `INSTANCE`.
const FATAL_LIMIT: usize = 3;
const FATAL_WINDOW: Duration = Duration::from_mins(5);
/// How long shutdown waits for the batch that is being settled, and for the group to let us go.
const LAST_BATCH: Duration = Duration::from_secs(5);
const TOPICS_AGAIN: Duration = Duration::from_secs(1);

/// Why a consumer gave up.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The topics are not what the settings say.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// librdkafka cannot make a client of these settings, or its consumers end again and again.
    #[error("the Kafka consumer cannot go on: {0}")]
    Kafka(#[from] KafkaError),
    /// The database went back in time while the process ran.
    #[error("{0}")]
    Older(String),
}

/// What a consumer tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Kafka answers, and all topics are as they should be.
    pub reached: bool,
    /// How many partitions this member holds; `None` until the group has answered.
    pub partitions: Option<usize>,
    /// Why the current batch does not go on.
    pub stuck: Option<String>,
    /// What waits for an operator, and what he must do: partitions whose log is not the one that was read, or that stand
    /// still with records to read; topics that are not there.
    pub stopped: Vec<String>,
}

impl ConsumerStatus {
    /// Everything that should be read is being read.
    pub fn is_consuming(&self) -> bool {
        self.reached && self.partitions.is_some() && self.stuck.is_none() && self.stopped.is_empty()
    }
}

/// Reads what a service follows, and folds it into the service's database.
pub struct Consumer {
    settings: Settings,
    outbox: Outbox,
    /// By topic, without the prefix.
    subscriptions: BTreeMap<String, Subscription>,
    status: watch::Sender<ConsumerStatus>,
}

impl Consumer {
    /// A consumer of `subscriptions`, one a topic.
    pub fn new(settings: Settings, outbox: Outbox, subscriptions: Vec<Subscription>) -> Self {
        let by_topic = |subscription: Subscription| (subscription.topic().name.to_owned(), subscription);
        let subscriptions = subscriptions.into_iter().map(by_topic).collect();
        Self { settings, outbox, subscriptions, status: watch::Sender::default() }
    }

    /// Follows what the consumer tells of itself.
    pub fn status(&self) -> watch::Receiver<ConsumerStatus> {
        self.status.subscribe()
    }

    /// Runs until `stop`; waits out whatever Kafka and Postgres do meanwhile.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ConsumerError> {
        if self.subscriptions.is_empty() || !self.wait_for_topics(&stop).await? {
            return Ok(());
        }
        let mut fatal: Vec<Instant> = Vec::new();
        loop {
            let session = Session::begin(&self, stop.clone())?;
            let ended = tokio::select! {
                ended = session.run() => ended,
                // It waits for a database that does not answer.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_BATCH).await } => Ended::Stopped,
            };
            match ended {
                Ended::Stopped => return Ok(()),
                // The client asks to join more than once while Kafka stands still, and is fenced by its own repetition.
                Ended::FatalAfterOutage(error) => {
                    tracing::warn!(%error, "while Kafka was away the group gave our place away; joining anew");
                }
                Ended::StaleClient => {
                    tracing::warn!(
                        "Kafka answers, but not the consumer's client any more; building a new one"
                    );
                }
                Ended::Older(finding) => {
                    return Err(ConsumerError::Older(history::explain(&self.settings, &finding, "")));
                }
                Ended::Fatal(error) => {
                    fatal.retain(|at| at.elapsed() < FATAL_WINDOW);
                    fatal.push(Instant::now());
                    if fatal.len() >= FATAL_LIMIT {
                        return Err(error.into());
                    }
                    tracing::error!(%error, "the Kafka consumer cannot go on; building a new one");
                }
            }
            self.status.send_modify(|status| status.partitions = None);
        }
    }

    fn topics(&self) -> Vec<Topic> {
        self.subscriptions.values().map(Subscription::topic).collect()
    }

    /// Waits until Kafka answers and the topics are there; `false`: the process is to stop.
    async fn wait_for_topics(&self, stop: &CancellationToken) -> Result<bool, ConsumerError> {
        let topics = self.topics();
        let mut told = String::new();
        loop {
            let Some(verified) = stop.run_until_cancelled(topics::verify(&self.settings, &topics)).await
            else {
                return Ok(false);
            };
            match verified {
                Ok(()) => break,
                Err(error @ (TopicsError::Unreachable { .. } | TopicsError::Missing { .. })) => {
                    let text = error.to_string();
                    if text != told {
                        tracing::warn!("{text}; waiting for it");
                        told = text;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if stop.run_until_cancelled(tokio::time::sleep(TOPICS_AGAIN)).await.is_none() {
                return Ok(false);
            }
        }
        self.status.send_modify(|status| status.reached = true);
        Ok(true)
    }
}
