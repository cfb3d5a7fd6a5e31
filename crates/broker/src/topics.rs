//! Creates the topics of a system and checks that they are as it needs them. Kafka's own auto-creation stays off: it
//! would make them with the wrong number of partitions and the wrong retention.

mod drift;

use std::time::Duration;

use envelope::{Cleanup, Topic};
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::{self, Quiet};
use crate::outbox::MAX_EVENT_BYTES;
use crate::settings::Settings;

/// The largest record of a topic: an event and Kafka's framing.
pub(crate) const MAX_RECORD_BYTES: usize = MAX_EVENT_BYTES + 16 * 1024;
/// The largest dead letter: a record and what was added about its death.
pub(crate) const MAX_DEAD_LETTER_BYTES: usize = MAX_RECORD_BYTES + 64 * 1024;
const DAY: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often, and at which distance, a topic that was just created is asked for.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Why topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Kafka cannot be asked.
    #[error("Kafka at {brokers} does not answer: {error}")]
    Unreachable {
        /// Where it was sought.
        brokers: String,
        /// What librdkafka says.
        error: KafkaError,
    },
    /// Kafka refuses to create one, or to tell or change its settings.
    #[error("Kafka refuses to make topic {topic} as it is needed: {code}")]
    Refused {
        /// Its full name.
        topic: String,
        /// Kafka's reason.
        code: RDKafkaErrorCode,
    },
    /// One is not there.
    #[error("topic {topic} is missing; run: {program} migrate")]
    Missing {
        /// Its full name.
        topic: String,
        /// What can create it.
        program: String,
    },
    /// One has another number of partitions.
    #[error(
        "topic {topic} has {found} partitions and TOPIC_PARTITIONS is {wanted}: keys would change their partition. \
         Set TOPIC_PARTITIONS={found}, or drain the topic and raise it as ARCHITECTURE.md explains"
    )]
    Partitions {
        /// Its full name.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many the settings say.
        wanted: i32,
    },
}

/// Creates those of `topics` that are missing, and the service's dead letter topic; checks all of them, and sets what
/// those that were there have set otherwise.
pub async fn create(settings: &Settings, topics: &[Topic]) -> Result<(), TopicsError> {
    let unreachable = |error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error };
    let admin: AdminClient<Quiet> =
        kafka::client(settings).create_with_context(Quiet).map_err(unreachable)?;
    let specs: Vec<Spec> = topics
        .iter()
        .map(|topic| Spec::of(settings, *topic))
        .chain([Spec::of_dead_letters(settings)])
        .collect();
    let new: Vec<NewTopic<'_>> = specs.iter().map(|spec| spec.new_topic(settings.partitions)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let mut older = Vec::new();
    for result in admin.create_topics(&new, &options).await.map_err(unreachable)? {
        match result {
            Ok(_) => {}
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => older.push(topic),
            Err((topic, code)) => return Err(TopicsError::Refused { topic, code }),
        }
    }
    wait_for(settings, specs.iter().map(|spec| spec.name.clone()).collect()).await?;
    let older: Vec<&Spec> = specs.iter().filter(|spec| older.contains(&spec.name)).collect();
    drift::mend(&admin, settings, &older, &options).await
}

/// A topic that was just created takes a moment to reach every broker's metadata.
async fn wait_for(settings: &Settings, names: Vec<String>) -> Result<(), TopicsError> {
    let mut tries = 0;
    loop {
        match verify_names(settings, names.clone()).await {
            Err(TopicsError::Missing { .. }) if tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Checks that each of `topics` is there with the right number of partitions.
pub async fn verify(settings: &Settings, topics: &[Topic]) -> Result<(), TopicsError> {
    verify_names(settings, settings.names_of(topics)).await
}

async fn verify_names(settings: &Settings, names: Vec<String>) -> Result<(), TopicsError> {
    let unreachable = |error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error };
    let admin: AdminClient<Quiet> =
        kafka::client(settings).create_with_context(Quiet).map_err(unreachable)?;
    let asked = settings.clone();
    kafka::blocking(move || check(admin.inner(), &asked, names, TIMEOUT))
        .await
        .unwrap_or_else(|| Err(unreachable(KafkaError::Canceled)))
}

/// The same, of topics by their full names, with a client that is there. Blocks.
pub(crate) fn check<C: ClientContext>(
    client: &Client<C>,
    settings: &Settings,
    names: Vec<String>,
    timeout: Duration,
) -> Result<(), TopicsError> {
    for name in names {
        let metadata = client
            .fetch_metadata(Some(&name), timeout)
            .map_err(|error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error })?;
        let found = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
        let Some(found) = found else {
            return Err(TopicsError::Missing { topic: name, program: settings.program.clone() });
        };
        if i32::try_from(found.partitions().len()) != Ok(settings.partitions) {
            let (found, wanted) = (found.partitions().len(), settings.partitions);
            return Err(TopicsError::Partitions { topic: name, found, wanted });
        }
    }
    Ok(())
}

/// A topic's name on the cluster and its settings there.
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
                // How long a reader that was away still finds tombstones.
                ("delete.retention.ms", millis(30 * DAY)),
            ],
        };
        if topic.personal {
            // An erasure takes effect in days: the open segment is never compacted, so it must not stay open long.
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
        // A publisher's wrong clock must not make Kafka delete records too early or too late.
        config.push(("message.timestamp.type", "LogAppendTime".to_owned()));
        Self { name, config }
    }

    fn new_topic(&self, partitions: i32) -> NewTopic<'_> {
        // -1: the cluster's default replication.
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(-1));
        self.config.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    }
}

/// By time alone, whatever size the cluster allows by default.
fn retention(keep: Option<Duration>) -> [(&'static str, String); 2] {
    [("retention.ms", keep.map_or("-1".to_owned(), millis)), ("retention.bytes", "-1".to_owned())]
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
