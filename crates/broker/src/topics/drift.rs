//! Topics that were there already may have other settings: of an older version, of another `TOPIC_RETENTION`, or changed by
//! hand. How long records are kept and when erasures take effect rests on them, so they are set as this version needs them.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, ResourceSpecifier};

use super::{Spec, TopicsError};
use crate::kafka::Quiet;
use crate::settings::Settings;

/// Sets what differs, and says so. What somebody has set besides stays.
pub(super) async fn mend(
    admin: &AdminClient<Quiet>,
    settings: &Settings,
    specs: &[Spec],
    options: &AdminOptions,
) -> Result<(), TopicsError> {
    let unreachable = |error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error };
    let asked: Vec<ResourceSpecifier<'_>> =
        specs.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
    let found = admin.describe_configs(&asked, options).await.map_err(unreachable)?;
    let mut changes = Vec::new();
    for (spec, found) in specs.iter().zip(found) {
        let entries = found.map_err(|code| TopicsError::Refused { topic: spec.name.clone(), code })?.entries;
        let drifted: Vec<_> = spec.config.iter().filter(|setting| is_other(setting, &entries)).collect();
        for (name, value) in &drifted {
            tracing::info!(topic = spec.name, "{name} is set to {value}");
        }
        if !drifted.is_empty() {
            changes.push((spec, entries));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let changes: Vec<AlterConfig<'_>> = changes.iter().map(|(spec, entries)| change(spec, entries)).collect();
    for result in admin.alter_configs(&changes, options).await.map_err(unreachable)? {
        if let Err((topic, code)) = result {
            return Err(TopicsError::Refused { topic: format!("{topic:?}"), code });
        }
    }
    Ok(())
}

fn is_other((name, wanted): &(&'static str, String), entries: &[ConfigEntry]) -> bool {
    let found = entries.iter().find(|entry| entry.name == *name);
    found.is_none_or(|entry| entry.value.as_ref() != Some(wanted))
}

/// Kafka takes all settings of a topic at once: ours, and those that were set besides.
fn change<'a>(spec: &'a Spec, entries: &'a [ConfigEntry]) -> AlterConfig<'a> {
    let is_ours = |name: &str| spec.config.iter().any(|(ours, _)| *ours == name);
    let theirs =
        entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic && !is_ours(&entry.name));
    let theirs = theirs.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let ours = spec.config.iter().map(|(name, value)| (*name, value.as_str()));
    let topic = AlterConfig::new(ResourceSpecifier::Topic(&spec.name));
    theirs.chain(ours).fold(topic, |topic, (name, value)| topic.set(name, value))
}
