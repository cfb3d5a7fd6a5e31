//! A client for the settings of topics.
//!
//! rdkafka 0.39 drops the error of each resource in the answers to `DescribeConfigs` and `AlterConfigs`. So a topic without any
//! setting is one that may not be read, and whether a change was accepted shows only when the settings are read again.

use std::time::{Duration, Instant};

use broker::maintenance::missing_right;
use broker::{KafkaError, Settings, TopicsError};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

use super::spec::Spec;

pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broker may need to know a new topic, and changed settings: several brokers that start together need seconds.
const KNOWN: Duration = Duration::from_secs(10);
const STABLE_WITHIN: Duration = Duration::from_secs(3);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

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
    pub(super) fn refused(settings: &Settings, topic: &str, code: RDKafkaErrorCode) -> Self {
        let is_forbidden = KafkaError::from(ClientError::Global(code)).is_forbidden();
        let right = || format!(": {}", missing_right("it", &settings.program, true));
        let help = if is_forbidden { right() } else { String::new() };
        Self::Refused { topic: topic.to_owned(), reason: format!("{code}{help}") }
    }
}

/// The settings of one topic.
#[derive(Debug)]
pub(super) enum Present {
    Readable(Vec<ConfigEntry>),
    /// The ACLs forbid to read them.
    Forbidden,
}

impl Present {
    /// Returns whether all settings are exactly as wanted, as far as they can be read.
    pub(super) fn is_exactly(&self, spec: &Spec) -> bool {
        let Self::Readable(entries) = self else { return true };
        spec.settings.iter().all(|wanted| wanted.is_exactly(entries))
    }
}

pub(super) struct Cluster<'a> {
    pub admin: AdminClient<DefaultClientContext>,
    pub settings: &'a Settings,
    pub options: AdminOptions,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(settings: &'a Settings) -> Result<Self, CreateTopicsError> {
        let config: ClientConfig = settings.client_properties().into_iter().collect();
        let admin = config.create().map_err(|error| TopicsError::unreachable(settings, error))?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        Ok(Self { admin, settings, options })
    }

    pub(super) fn unreachable(&self, error: ClientError) -> CreateTopicsError {
        TopicsError::unreachable(self.settings, error).into()
    }

    /// Returns the settings of each topic, in the order of `specs`.
    pub(super) async fn describe(&self, specs: &[Spec]) -> Result<Vec<Present>, CreateTopicsError> {
        // Another service's `migrate` may have created a topic a moment ago, and this broker does not know it yet.
        let is_known =
            |present: &[Present]| present.iter().all(|present| !matches!(present, Present::Forbidden));
        self.describe_until(specs, KNOWN, is_known).await
    }

    /// Returns the settings after a change, which takes a moment to reach every broker.
    pub(super) async fn describe_stable(&self, specs: &[Spec]) -> Result<Vec<Present>, CreateTopicsError> {
        let is_stable =
            |present: &[Present]| specs.iter().zip(present).all(|(spec, present)| present.is_exactly(spec));
        self.describe_until(specs, STABLE_WITHIN, is_stable).await
    }

    /// Reads the settings until they are as expected, at most for as long as `limit`.
    pub(super) async fn describe_until(
        &self,
        specs: &[Spec],
        limit: Duration,
        is_expected: impl Fn(&[Present]) -> bool,
    ) -> Result<Vec<Present>, CreateTopicsError> {
        let asked: Vec<_> = specs.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
        let deadline = Instant::now() + limit;
        loop {
            let found = self.admin.describe_configs(&asked, &self.options).await;
            let found = found.map_err(|error| self.unreachable(error))?.into_iter();
            let present = found.map(|found| match found {
                Ok(found) if !found.entries.is_empty() => Present::Readable(found.entries),
                Ok(_) | Err(_) => Present::Forbidden,
            });
            let present: Vec<Present> = present.collect();
            if Instant::now() > deadline || is_expected(&present) {
                return Ok(present);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
