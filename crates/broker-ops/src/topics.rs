//! The topics of a system: creates them, corrects their settings, and reports what the cluster does not apply.
//!
//! A cluster may ignore a setting, replace it by its own limit, or refuse it. So the settings are read back after each change,
//! and each setting that differs is reported with the promise of this system that depends on it ([`Difference`]).

mod apply;
mod cluster;
mod difference;
mod spec;

use std::time::Duration;

use broker::maintenance::{Reader, Replicas, verify_topics};
use broker::{Settings, TopicsError};
use envelope::Topic;
use rdkafka::consumer::Consumer as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use cluster::CreateTopicsError;
use cluster::{Cluster, TIMEOUT};
pub use difference::Difference;
use spec::Spec;

/// The number of looks for a topic that was just created, and the pause between them.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// The number of replicas with which a topic survives the loss of one broker and stays writable.
const REPLICATION: usize = 3;
/// The interval of the comparison of a running service's topics, and of its retries while Kafka does not answer.
const COMPARE: Duration = Duration::from_mins(5);
const COMPARE_AGAIN: Duration = Duration::from_secs(10);

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
    Ok(specs.iter().map(|spec| spec.manifest(settings.partitions)).collect())
}

/// Compares the topics of a running service with their wanted settings until `stop`: somebody may change them. Sends what the
/// cluster does not apply to `found`, and logs each difference once.
pub async fn watch(
    settings: Settings,
    topics: &[Topic],
    found: watch::Sender<Vec<Difference>>,
    stop: CancellationToken,
) {
    loop {
        let compared = stop.run_until_cancelled(differences(&settings, topics)).await;
        let Some(compared) = compared else { return };
        let pause = match compared {
            Ok(now) => {
                let known = found.send_replace(now.clone());
                for difference in now.iter().filter(|difference| !known.contains(difference)) {
                    tracing::warn!("{difference}");
                }
                COMPARE
            }
            // The consumer reports a Kafka that does not answer, and a topic that is missing.
            Err(error) => {
                tracing::debug!(%error, "the topics' settings cannot be compared");
                COMPARE_AGAIN
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

fn names(specs: &[Spec]) -> Vec<String> {
    specs.iter().map(|spec| spec.name.clone()).collect()
}

/// Returns the number of replicas of each topic: that of the settings, else [`REPLICATION`] or the number of brokers.
async fn replication(settings: &Settings) -> Result<usize, CreateTopicsError> {
    if let Some(given) = settings.replication {
        return Ok(given);
    }
    // The metadata of one topic, which need not exist, names all brokers.
    let topic = settings.topic_name(&settings.dead_letter_topic());
    let count = Reader::ask_once(settings, move |reader| {
        Ok(reader.client().fetch_metadata(Some(&topic), TIMEOUT)?.brokers().len())
    });
    let count = count.await.map_err(|error| TopicsError::unreachable(settings, error))?;
    Ok(count.clamp(1, REPLICATION))
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
