//! Reads the settings that topics have.
//!
//! rdkafka 0.39 drops the error of each resource in the answers to `DescribeConfigs` and `AlterConfigs`. So a topic without any
//! setting is one that may not be read, and whether a change was accepted shows only when the settings are read again.

use std::time::{Duration, Instant};

use rdkafka::admin::{ConfigEntry, ResourceSpecifier};

use super::spec::Spec;
use super::{Cluster, CreateTopicsError};

/// How long a broker may need to know a new topic, and changed settings: several brokers that start together need seconds.
const KNOWN: Duration = Duration::from_secs(10);
const STABLE_WITHIN: Duration = Duration::from_secs(3);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

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

/// Returns the value of a setting.
pub(super) fn value<'a>(entries: &'a [ConfigEntry], name: &str) -> Option<&'a str> {
    entries.iter().find(|entry| entry.name == name)?.value.as_deref()
}

impl Cluster<'_> {
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
