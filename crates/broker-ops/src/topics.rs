//! Creates the topics of a system, and corrects the settings of those that exist.

mod drift;

use std::time::Duration;

use broker::maintenance::verify_topics;
use broker::{MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES, Settings, TopicsError};
use envelope::{Cleanup, Topic};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

const DAY: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of looks for a topic that was just created, and the pause between them.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

type Admin = AdminClient<DefaultClientContext>;

/// The reason why topics could not be created or corrected.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicsError {
    /// Kafka does not answer, or a topic has another number of partitions.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// Kafka refuses to create a topic, or to show or change its settings.
    #[error("Kafka refuses to create topic {topic}, or to show or change its settings: {reason}")]
    Refused {
        /// The topic's full name.
        topic: String,
        /// Kafka's reason.
        reason: String,
    },
}

impl CreateTopicsError {
    fn unreachable(settings: &Settings, error: ClientError) -> Self {
        TopicsError::unreachable(settings, error).into()
    }

    fn refused(topic: &str, code: RDKafkaErrorCode) -> Self {
        Self::Refused { topic: topic.to_owned(), reason: code.to_string() }
    }
}

/// Creates those of `topics` that are missing, and the service's topic of dead letters. Verifies all of them, and corrects
/// the settings of those that existed before.
pub async fn create(settings: &Settings, topics: &[Topic]) -> Result<(), CreateTopicsError> {
    let unreachable = |error| CreateTopicsError::unreachable(settings, error);
    let config: ClientConfig = settings.client_properties().into_iter().collect();
    let admin: Admin = config.create().map_err(unreachable)?;
    let specs: Vec<Spec> = topics
        .iter()
        .map(|topic| Spec::of(settings, *topic))
        .chain([Spec::of_dead_letters(settings)])
        .collect();
    let new: Vec<NewTopic<'_>> = specs.iter().map(|spec| spec.new_topic(settings.partitions)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let mut existing = Vec::new();
    for result in admin.create_topics(&new, &options).await.map_err(unreachable)? {
        match result {
            Ok(_) => {}
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => existing.push(topic),
            Err((topic, code)) => return Err(CreateTopicsError::refused(&topic, code)),
        }
    }
    wait_for(settings, specs.iter().map(|spec| spec.name.clone()).collect()).await?;
    let existing: Vec<&Spec> = specs.iter().filter(|spec| existing.contains(&spec.name)).collect();
    drift::correct(&admin, settings, &existing, &options).await
}

/// Waits until the topics exist: a topic that was just created takes a moment to reach every broker's metadata.
async fn wait_for(settings: &Settings, names: Vec<String>) -> Result<(), TopicsError> {
    let mut tries = 0;
    loop {
        match verify_topics(settings, names.clone()).await {
            Err(TopicsError::Missing { .. }) if tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The full name of a topic and its settings.
struct Spec {
    name: String,
    config: Vec<(&'static str, String)>,
}

impl Spec {
    fn of(settings: &Settings, topic: Topic) -> Self {
        let mut config = match topic.cleanup {
            Cleanup::Delete => {
                let mut config = vec![("cleanup.policy", "delete".to_owned())];
                config.extend(retention(settings.retention));
                config
            }
            Cleanup::Compact => vec![
                ("cleanup.policy", "compact".to_owned()),
                // A reader that was away for less than this still finds tombstones.
                ("delete.retention.ms", millis(30 * DAY)),
            ],
        };
        if topic.personal {
            // An erasure must take effect within days. The open segment is never compacted, so it must not stay open long.
            config.push(("max.compaction.lag.ms", millis(DAY)));
            config.push(("segment.ms", millis(DAY)));
        }
        config.push(("max.message.bytes", MAX_RECORD_BYTES.to_string()));
        Self::with(settings.topic_name(topic.name), config)
    }

    fn of_dead_letters(settings: &Settings) -> Self {
        let mut config = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("max.message.bytes", MAX_DEAD_LETTER_BYTES.to_string()),
        ];
        config.extend(retention(Some(30 * DAY)));
        Self::with(settings.topic_name(&settings.dead_letter_topic()), config)
    }

    fn with(name: String, mut config: Vec<(&'static str, String)>) -> Self {
        // With a publisher's wrong clock, Kafka would delete records too early or too late.
        config.push(("message.timestamp.type", "LogAppendTime".to_owned()));
        Self { name, config }
    }

    fn new_topic(&self, partitions: i32) -> NewTopic<'_> {
        // -1 is the cluster's default replication.
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(-1));
        self.config.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    }
}

/// Retention by time only: without a limit of the size, which the cluster may set by default.
fn retention(keep: Option<Duration>) -> [(&'static str, String); 2] {
    [("retention.ms", keep.map_or("-1".to_owned(), millis)), ("retention.bytes", "-1".to_owned())]
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
