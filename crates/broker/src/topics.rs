//! Verifies the topics of a system. Kafka's auto-creation stays off, because it would create topics with the wrong number of
//! partitions and the wrong retention; `broker-ops` creates them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataPartition;

use crate::kafka::{self, KafkaError, Reader};
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// Kafka does not answer.
    #[error("Kafka at {brokers} does not answer: {error}")]
    Unreachable {
        /// The bootstrap servers.
        brokers: String,
        /// The error of the client.
        error: KafkaError,
    },
    /// Kafka refuses the connection, or the client refuses Kafka's certificate.
    #[error("Kafka at {brokers} refuses the connection: {refusal}")]
    Refused {
        /// The bootstrap servers.
        brokers: String,
        /// The reason, and what to check.
        refusal: String,
    },
    /// The ACLs forbid the service to use a topic.
    #[error("the ACLs forbid topic {topic}; this prints the rights that the service needs: {program} acls")]
    Forbidden {
        /// The topic's full name.
        topic: String,
        /// The program whose `acls` prints the rights.
        program: String,
    },
    /// A topic does not exist.
    #[error("topic {topic} is missing; run: {program} migrate")]
    Missing {
        /// The topic's full name.
        topic: String,
        /// The program whose `migrate` creates it.
        program: String,
    },
    /// A topic has another number of partitions.
    #[error(
        "topic {topic} has {found} partitions and TOPIC_PARTITIONS is {wanted}: keys would change their partition. \
         Set TOPIC_PARTITIONS={found}, or drain the topic and raise it as ARCHITECTURE.md explains"
    )]
    Partitions {
        /// The topic's full name.
        topic: String,
        /// The number that it has.
        found: usize,
        /// The number in the settings.
        wanted: i32,
    },
}

impl TopicsError {
    /// Returns the error of a Kafka that does not answer, or that refuses the connection.
    pub fn unreachable(settings: &Settings, error: impl Into<KafkaError>) -> Self {
        let brokers = settings.brokers.clone();
        match settings.connection.refusal() {
            Some(refusal) => Self::Refused { brokers, refusal },
            None => Self::Unreachable { brokers, error: error.into() },
        }
    }

    /// Returns whether Kafka answered.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Refused { .. })
    }

    /// Returns the text when only an operator can repair the error; an outage ends by itself.
    pub(crate) fn for_operator(&self) -> Vec<String> {
        match self {
            Self::Unreachable { .. } => Vec::new(),
            _ => vec![self.to_string()],
        }
    }
}

/// The number of replicas of each topic; that of the partition with the fewest.
pub type Replicas = BTreeMap<String, usize>;

/// Verifies that the topics with these full names exist with the right number of partitions.
pub async fn verify(settings: &Settings, names: Vec<String>) -> Result<Replicas, TopicsError> {
    ask(settings, move |reader, settings| check(reader.client(), settings, names, TIMEOUT)).await
}

/// Returns the number of brokers of the cluster.
pub async fn count_brokers(settings: &Settings) -> Result<usize, TopicsError> {
    ask(settings, |reader, settings| {
        // The metadata of one topic, which need not exist, names all brokers.
        let topic = settings.topic_name(&settings.dead_letter_topic());
        let metadata = reader.client().fetch_metadata(Some(&topic), TIMEOUT);
        let metadata = metadata.map_err(|error| TopicsError::unreachable(settings, error))?;
        Ok(metadata.brokers().len())
    })
    .await
}

/// Calls `question` with a new client, on a thread of its own.
async fn ask<T: Send + 'static>(
    settings: &Settings,
    question: impl FnOnce(&Reader, &Settings) -> Result<T, TopicsError> + Send + 'static,
) -> Result<T, TopicsError> {
    let asked = settings.clone();
    let answer = kafka::blocking(move || {
        let reader = kafka::reader(&asked).map_err(|error| TopicsError::unreachable(&asked, error))?;
        match question(&reader, &asked) {
            Err(TopicsError::Unreachable { error, .. }) => {
                kafka::take_events(&reader);
                Err(TopicsError::unreachable(&asked, error))
            }
            answer => answer,
        }
    });
    answer.await.unwrap_or_else(|| Err(TopicsError::unreachable(settings, KafkaError::canceled())))
}

/// Verifies the same as [`verify`] with an existing client. Blocks.
pub(crate) fn check<C: ClientContext>(
    client: &Client<C>,
    settings: &Settings,
    names: Vec<String>,
    timeout: Duration,
) -> Result<Replicas, TopicsError> {
    let mut replicas = Replicas::new();
    for name in names {
        let metadata = client
            .fetch_metadata(Some(&name), timeout)
            .map_err(|error| TopicsError::unreachable(settings, error))?;
        settings.connection.clear();
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        let found = match found.map(|topic| (topic, topic.error().map(RDKafkaErrorCode::from))) {
            Some((topic, None)) => topic,
            Some((_, Some(RDKafkaErrorCode::TopicAuthorizationFailed))) => {
                return Err(TopicsError::Forbidden { topic: name, program: settings.program.clone() });
            }
            Some(_) | None => {
                return Err(TopicsError::Missing { topic: name, program: settings.program.clone() });
            }
        };
        if i32::try_from(found.partitions().len()) != Ok(settings.partitions) {
            let (found, wanted) = (found.partitions().len(), settings.partitions);
            return Err(TopicsError::Partitions { topic: name, found, wanted });
        }
        let fewest = found.partitions().iter().map(MetadataPartition::replicas).map(<[i32]>::len).min();
        replicas.insert(name, fewest.unwrap_or_default());
    }
    Ok(replicas)
}
