//! Creates topics and changes their settings, as far as the cluster allows.
//!
//! Settings drift: they may be those of an older version or of another `TOPIC_RETENTION`, or may have been changed by hand.

use std::time::Duration;

use rdkafka::admin::{AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::cluster::{Cluster, CreateTopicsError, Present};
use super::spec::{Spec, Wanted, value};

/// How long a single changed setting may need to reach a broker. Each refused setting costs this time.
const SET: Duration = Duration::from_secs(1);

impl Spec {
    /// Returns the topic to create, with those settings that `is_given` selects.
    fn new_topic(&self, partitions: i32, is_given: impl Fn(&Wanted) -> bool) -> NewTopic<'_> {
        let replication = TopicReplication::Fixed(self.replication.value.parse().unwrap_or(-1));
        let topic = NewTopic::new(&self.name, partitions, replication);
        let given = self.settings.iter().filter(|wanted| is_given(wanted));
        given.fold(topic, |topic, wanted| topic.set(wanted.name, &wanted.value))
    }
}

impl Cluster<'_> {
    /// Creates the topics that do not exist. Where the cluster refuses a setting, creates the topic without settings;
    /// [`correct`](Self::correct) finds those that the cluster accepts.
    pub(super) async fn create(&self, specs: &[Spec]) -> Result<(), CreateTopicsError> {
        let refused = self.try_to_create(specs.iter(), |wanted| wanted.is_created).await?;
        let refused: Vec<&Spec> = specs.iter().filter(|spec| refused.contains(&spec.name)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let still = self.try_to_create(refused.into_iter(), |wanted| wanted.name == "cleanup.policy").await?;
        let refused = still.first().map(|topic| {
            let code = RDKafkaErrorCode::PolicyViolation;
            CreateTopicsError::refused(self.settings, topic, code)
        });
        refused.map_or(Ok(()), Err)
    }

    /// Returns the names of the topics whose settings the cluster refuses.
    async fn try_to_create(
        &self,
        specs: impl Iterator<Item = &Spec>,
        is_given: impl Fn(&Wanted) -> bool,
    ) -> Result<Vec<String>, CreateTopicsError> {
        let new: Vec<NewTopic<'_>> =
            specs.map(|spec| spec.new_topic(self.settings.partitions, &is_given)).collect();
        let results = self.admin.create_topics(&new, &self.options).await;
        let mut refused = Vec::new();
        for result in results.map_err(|error| self.unreachable(error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) if refuses_setting(code) => refused.push(topic),
                Err((topic, code)) => return Err(CreateTopicsError::refused(self.settings, &topic, code)),
            }
        }
        Ok(refused)
    }

    /// Corrects and logs the settings that differ, and keeps additional ones. Returns the settings that the topics have then.
    pub(super) async fn correct(
        &self,
        specs: &[Spec],
        before: Vec<Present>,
    ) -> Result<Vec<Present>, CreateTopicsError> {
        let differing: Vec<_> =
            specs.iter().zip(&before).filter_map(|(spec, present)| differing(spec, present)).collect();
        if differing.is_empty() {
            return Ok(before);
        }
        for (spec, entries) in &differing {
            self.alter(spec, spec.settings.iter().filter(|wanted| !wanted.is_exactly(entries)), entries)
                .await?;
        }
        let mut after = self.describe_stable(specs).await?;
        for (spec, present) in specs.iter().zip(&mut after) {
            self.set_one_by_one(spec, present).await?;
        }
        for ((spec, before), after) in specs.iter().zip(&before).zip(&after) {
            log_changes(spec, before, after);
        }
        Ok(after)
    }

    /// Sets the settings that still differ one by one, because a cluster that refuses one of them has set none.
    async fn set_one_by_one(&self, spec: &Spec, present: &mut Present) -> Result<(), CreateTopicsError> {
        let open: Vec<&Wanted> = match present {
            Present::Readable(entries) => {
                spec.settings.iter().filter(|wanted| !wanted.is_exactly(entries)).collect()
            }
            Present::Forbidden => return Ok(()),
        };
        if open.len() < 2 {
            return Ok(());
        }
        for wanted in open {
            let Present::Readable(entries) = &*present else { return Ok(()) };
            self.alter(spec, [wanted].into_iter(), entries).await?;
            let is_set = |present: &[Present]| matches!(present, [Present::Readable(entries)] if wanted.is_exactly(entries));
            let now = self.describe_until(std::slice::from_ref(spec), SET, is_set).await?;
            if let Some(now @ Present::Readable(_)) = now.into_iter().next() {
                *present = now;
            }
        }
        Ok(())
    }

    /// Asks Kafka to set these settings of a topic. Whether it did shows only when they are read again.
    async fn alter<'b>(
        &self,
        spec: &'b Spec,
        wanted: impl Iterator<Item = &'b Wanted>,
        entries: &'b [ConfigEntry],
    ) -> Result<(), CreateTopicsError> {
        let change = change(spec, &wanted.collect::<Vec<_>>(), entries);
        let asked = self.admin.alter_configs(&[change], &self.options).await;
        asked.map(drop).map_err(|error| self.unreachable(error))
    }
}

/// Returns a topic whose settings differ, with its present settings.
fn differing<'a>(spec: &'a Spec, present: &'a Present) -> Option<(&'a Spec, &'a [ConfigEntry])> {
    match present {
        Present::Readable(entries) if !present.is_exactly(spec) => Some((spec, entries)),
        Present::Readable(_) | Present::Forbidden => None,
    }
}

fn log_changes(spec: &Spec, before: &Present, after: &Present) {
    let (Present::Readable(before), Present::Readable(after)) = (before, after) else { return };
    for wanted in &spec.settings {
        let (was, is) = (value(before, wanted.name), value(after, wanted.name));
        if was != is {
            let (was, is) = (was.unwrap_or("nothing"), is.unwrap_or("nothing"));
            tracing::warn!(topic = spec.name, "{} is set to {is}; it was {was}", wanted.name);
        }
    }
}

/// Returns whether a cluster's policy or limits refuse a setting; others may be allowed.
fn refuses_setting(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidRequest
    )
}

/// Returns the change of a topic. Kafka replaces all settings at once, so the change repeats all others that the topic has.
fn change<'a>(spec: &'a Spec, wanted: &[&'a Wanted], entries: &'a [ConfigEntry]) -> AlterConfig<'a> {
    let is_kept = |entry: &&ConfigEntry| {
        let is_replaced = wanted.iter().any(|wanted| wanted.name == entry.name);
        entry.source == ConfigSource::DynamicTopic && !is_replaced
    };
    let kept = entries.iter().filter(is_kept);
    let kept = kept.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let ours = wanted.iter().map(|wanted| (wanted.name, wanted.value.as_str()));
    let topic = AlterConfig::new(ResourceSpecifier::Topic(&spec.name));
    kept.chain(ours).fold(topic, |topic, (name, value)| topic.set(name, value))
}
