//! The topics of a system: creates them, corrects their settings, and reports what the cluster does not apply.
//!
//! A cluster may ignore a setting, replace it by its own limit, or refuse it. So the settings are read back after each change,
//! and each setting that differs is reported with the promise of this system that depends on it ([`Difference`]).

mod apply;
mod difference;
mod manifest;
mod present;
mod spec;
mod watch;

use std::time::Duration;

use broker::maintenance::{Replicas, count_brokers, verify_topics};
use broker::{Settings, TopicsError};
use envelope::Topic;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

pub use difference::Difference;
use spec::Spec;
pub use watch::watch;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of looks for a topic that was just created, and the pause between them.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// The number of replicas with which a topic survives the loss of one broker and stays writable.
const REPLICATION: usize = 3;

/// The reason why topics could not be created or checked.
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
    fn refused(settings: &Settings, topic: &str, code: RDKafkaErrorCode) -> Self {
        let help = match code {
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                format!(
                    ": the ACLs forbid it; this prints the rights that `migrate` needs: {} acls --migrate",
                    settings.program
                )
            }
            _ => String::new(),
        };
        Self::Refused { topic: topic.to_owned(), reason: format!("{code}{help}") }
    }
}

/// Creates those of `topics` that are missing, and the service's topic of dead letters. Corrects the settings of all of them,
/// reads them back, and returns what the cluster does not apply.
pub async fn create(settings: &Settings, topics: &[Topic]) -> Result<Vec<Difference>, CreateTopicsError> {
    let replication = replication(settings).await?;
    if settings.replication.is_none() && replication < REPLICATION {
        tracing::warn!(
            "there are fewer than {REPLICATION} brokers, so topics have {replication} replica(s): an acknowledged event can be \
             lost with a disk"
        );
    }
    let mut specs = Spec::all(settings, topics, replication);
    let cluster = Cluster::new(settings)?;
    cluster.create(&specs).await?;
    let replicas = wait_for(settings, names(&specs)).await?;
    for spec in &mut specs {
        spec.fit(settings, &replicas);
    }
    let present = cluster.describe(&specs).await?;
    let present = cluster.correct(&specs, present).await?;
    Ok(difference::all(&specs, &present, &replicas))
}

/// Returns what the cluster does not apply to `topics` and the service's topic of dead letters. Changes nothing.
pub async fn differences(
    settings: &Settings,
    topics: &[Topic],
) -> Result<Vec<Difference>, CreateTopicsError> {
    let mut specs = Spec::all(settings, topics, replication(settings).await?);
    let replicas = verify_topics(settings, names(&specs)).await?;
    for spec in &mut specs {
        spec.fit(settings, &replicas);
    }
    let present = Cluster::new(settings)?.describe(&specs).await?;
    Ok(difference::all(&specs, &present, &replicas))
}

/// Returns manifests of Strimzi (`KafkaTopic`) of `topics` and the service's topic of dead letters.
pub async fn manifests(settings: &Settings, topics: &[Topic]) -> Result<String, CreateTopicsError> {
    let specs = Spec::all(settings, topics, replication(settings).await?);
    Ok(specs.iter().map(|spec| manifest::of(spec, settings.partitions)).collect())
}

fn names(specs: &[Spec]) -> Vec<String> {
    specs.iter().map(|spec| spec.name.clone()).collect()
}

/// Returns the number of replicas of each topic: that of the settings, else [`REPLICATION`] or the number of brokers.
async fn replication(settings: &Settings) -> Result<usize, CreateTopicsError> {
    if let Some(given) = settings.replication {
        return Ok(given);
    }
    Ok(count_brokers(settings).await?.clamp(1, REPLICATION))
}

/// Waits until the topics exist: a topic that was just created takes a moment to reach every broker's metadata.
async fn wait_for(settings: &Settings, names: Vec<String>) -> Result<Replicas, TopicsError> {
    let mut tries = 0;
    loop {
        match verify_topics(settings, names.clone()).await {
            Err(TopicsError::Missing { .. }) if tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client for the settings of topics.
struct Cluster<'a> {
    admin: AdminClient<DefaultClientContext>,
    settings: &'a Settings,
    options: AdminOptions,
}

impl<'a> Cluster<'a> {
    fn new(settings: &'a Settings) -> Result<Self, CreateTopicsError> {
        let config: ClientConfig = settings.client_properties().into_iter().collect();
        let admin = config.create().map_err(|error| TopicsError::unreachable(settings, error))?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        Ok(Self { admin, settings, options })
    }

    fn unreachable(&self, error: ClientError) -> CreateTopicsError {
        TopicsError::unreachable(self.settings, error).into()
    }
}
