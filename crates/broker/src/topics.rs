//! Verifies the topics of a system. Kafka's auto-creation stays off, because it would create topics with the wrong number of
//! partitions and the wrong retention; `broker-ops` creates them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;

use crate::kafka::{KafkaError, missing_right};
use crate::reader::Reader;
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
    #[error("{}", missing_right(&format!("topic {topic}"), program, false))]
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
    let verified = Reader::ask_once(settings, move |reader| {
        Ok(check(reader.client().client(), reader.settings(), names, TIMEOUT)?)
    });
    verified.await.unwrap_or_else(|error| Err(TopicsError::unreachable(settings, error)))
}

/// Verifies the same as [`verify`] with an existing client. The outer error is a Kafka that does not answer. Blocks.
pub(crate) fn check<C: ClientContext>(
    client: &Client<C>,
    settings: &Settings,
    names: Vec<String>,
    timeout: Duration,
) -> KafkaResult<Result<Replicas, TopicsError>> {
    let program = || settings.program.clone();
    let mut replicas = Replicas::new();
    for name in names {
        let metadata = client.fetch_metadata(Some(&name), timeout)?;
        settings.connection.clear();
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        let found = match found.map(|topic| (topic, topic.error().map(RDKafkaErrorCode::from))) {
            Some((topic, None)) => topic.partitions(),
            Some((_, Some(RDKafkaErrorCode::TopicAuthorizationFailed))) => {
                return Ok(Err(TopicsError::Forbidden { topic: name, program: program() }));
            }
            Some(_) | None => return Ok(Err(TopicsError::Missing { topic: name, program: program() })),
        };
        let wanted = settings.partitions;
        if i32::try_from(found.len()) != Ok(wanted) {
            return Ok(Err(TopicsError::Partitions { topic: name, found: found.len(), wanted }));
        }
        let fewest = found.iter().map(MetadataPartition::replicas).map(<[i32]>::len).min();
        replicas.insert(name, fewest.unwrap_or_default());
    }
    Ok(Ok(replicas))
}
