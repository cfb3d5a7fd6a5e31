//! The consumer: one member of the service's group, which reads from the positions in the database.
//!
//! The consumer never starts from Kafka's committed offsets. On each assignment, reading starts at the position in the database. A
//! batch advances the position in the transaction of its effects. Every two seconds the positions are read again, so that an
//! operator's rewind takes effect in a running service. Redelivery, kill -9, rebalances and a zombie instance need no other
//! measures.
//!
//! A position is meaningful only in the log where it was written. At each assignment, after each lost connection, and every
//! 30 seconds on an idle partition, the record before the position is read again and compared with the one that was applied.
//! Another record in its place stops the partition ([`Assignment`](crate::assignment::Assignment)).

mod alarms;
mod apply;
mod batch;
mod context;
mod monitor;
mod progress;
mod rebalance;
mod session;
mod shared;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use envelope::Topic;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::session::{Ended, Session};
pub use self::shared::ConsumerStatus;
use self::shared::Shared;
use crate::generation::explain_older_database;
use crate::handler::Subscription;
use crate::kafka::KafkaError;
use crate::settings::Settings;
use crate::topics::{self, TopicsError};
use crate::tx::Outbox;

/// This many fatal errors within [`FATAL_WINDOW`], while Kafka answered, end the process: another one has the same
/// `INSTANCE`.
const FATAL_LIMIT: usize = 3;
const FATAL_WINDOW: Duration = Duration::from_mins(5);
/// How long shutdown waits for the batch that is being applied, and for the group to answer.
const LAST_BATCH: Duration = Duration::from_secs(5);
/// The pause between two looks for missing topics.
const TOPICS_AGAIN: Duration = Duration::from_secs(1);

/// The reason why a consumer gave up.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The topics are not as the settings say.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// librdkafka cannot create a client from the settings, or its clients fail again and again.
    #[error("the Kafka consumer cannot continue: {0}")]
    Kafka(#[from] KafkaError),
    /// The database went back in time while the process ran.
    #[error("{0}")]
    OlderDatabase(String),
}

/// Reads the topics that a service subscribes to, and applies their events to the service's database.
pub struct Consumer {
    shared: Arc<Shared>,
}

impl Consumer {
    /// Returns a consumer of `subscriptions`, one per topic.
    pub fn new(settings: Settings, outbox: Outbox, subscriptions: Vec<Subscription>) -> Self {
        let by_topic = |subscription: Subscription| (subscription.topic().name.to_owned(), subscription);
        let subscriptions = subscriptions.into_iter().map(by_topic).collect();
        let status = watch::Sender::default();
        let gauged = Mutex::default();
        Self { shared: Arc::new(Shared { settings, outbox, subscriptions, status, gauged }) }
    }

    /// Returns a receiver of the consumer's state.
    pub fn status(&self) -> watch::Receiver<ConsumerStatus> {
        self.shared.status.subscribe()
    }

    /// Consumes until `stop`; retries through every outage of Kafka and Postgres.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let shared = self.shared;
        let topics = shared.topics();
        if topics.is_empty() {
            shared.status.send_modify(|status| (status.reached, status.partitions) = (true, Some(0)));
            return Ok(());
        }
        if !wait_for_topics(&shared, &topics, &stop).await? {
            return Ok(());
        }
        let mut fatal: Vec<Instant> = Vec::new();
        loop {
            let session = Session::begin(Arc::clone(&shared), stop.clone()).map_err(KafkaError::from)?;
            let ended = tokio::select! {
                ended = session.run() => ended,
                // The session waits for a database that does not answer.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_BATCH).await } => Ended::Stopped,
            };
            match ended {
                Ended::Stopped => return Ok(()),
                // The client asks to join more than once while Kafka or the process is frozen, and its own repetition fences it.
                Ended::FatalAfterOutage(error) => {
                    tracing::warn!(
                        %error,
                        "the group fenced this static member while Kafka or this process stood still; joining again"
                    );
                }
                Ended::StaleClient => {
                    tracing::warn!("Kafka answers other clients but not the consumer; creating a new client");
                }
                Ended::OlderDatabase(finding) => {
                    let explained = explain_older_database(&shared.settings, &finding, "");
                    return Err(ConsumerError::OlderDatabase(explained));
                }
                Ended::Fatal(error) => {
                    fatal.retain(|at| at.elapsed() < FATAL_WINDOW);
                    fatal.push(Instant::now());
                    if fatal.len() >= FATAL_LIMIT {
                        return Err(KafkaError::from(error).into());
                    }
                    tracing::error!(%error, "the Kafka consumer cannot continue; creating a new one");
                }
            }
            shared.status.send_modify(|status| status.partitions = None);
        }
    }
}

/// Waits until Kafka answers and the topics exist; `false`: the process must stop.
async fn wait_for_topics(
    shared: &Shared,
    topics: &[Topic],
    stop: &CancellationToken,
) -> Result<bool, ConsumerError> {
    let settings = &shared.settings;
    let mut logged = String::new();
    loop {
        let verifying = topics::verify(settings, settings.names_of(topics));
        let Some(verified) = stop.run_until_cancelled(verifying).await else { return Ok(false) };
        match verified {
            Ok(_) => break,
            Err(
                error @ (TopicsError::Unreachable { .. }
                | TopicsError::Refused { .. }
                | TopicsError::Missing { .. }
                | TopicsError::Forbidden { .. }),
            ) => {
                let text = error.to_string();
                if text != logged {
                    tracing::warn!("{text}; waiting for it");
                    shared.status.send_modify(|status| status.stopped = error.for_operator());
                    logged = text;
                }
            }
            Err(error) => return Err(error.into()),
        }
        if stop.run_until_cancelled(tokio::time::sleep(TOPICS_AGAIN)).await.is_none() {
            return Ok(false);
        }
    }
    shared.status.send_modify(|status| (status.reached, status.stopped) = (true, Vec::new()));
    Ok(true)
}
