//! Topics that were there already may have other settings: of an older version, of another `TOPIC_RETENTION`, or changed by
//! hand. How long records are kept and when erasures take effect rests on them, so they are set as this version needs them.

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, OwnedResourceSpecifier,
    ResourceSpecifier,
};
use rdkafka::error::RDKafkaErrorCode;

use super::{PAUSE, Spec, TRIES, TopicsError};
use crate::kafka::Quiet;
use crate::settings::Settings;

/// A topic whose settings differ, and all that it has.
type Drifted<'a> = (&'a Spec, Vec<ConfigEntry>);

/// Sets what differs, and says so; what somebody has set besides stays. Whoever may not look or set is told, and goes on.
pub(super) async fn mend(
    admin: &AdminClient<Quiet>,
    settings: &Settings,
    specs: &[&Spec],
    options: &AdminOptions,
) -> Result<(), TopicsError> {
    let drifted = drifted(admin, settings, specs, options).await?;
    if drifted.is_empty() {
        return Ok(());
    }
    let changes: Vec<AlterConfig<'_>> = drifted.iter().map(|(spec, found)| change(spec, found)).collect();
    let results = admin.alter_configs(&changes, options).await;
    let results =
        results.map_err(|error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error })?;
    for (result, (spec, found)) in results.into_iter().zip(&drifted) {
        match result {
            Ok(_) => tell(spec, found, "is set to"),
            Err((_, code)) if is_forbidden(code) => tell(spec, found, "may not be set here, and should be"),
            Err((OwnedResourceSpecifier::Topic(topic), code)) => {
                return Err(TopicsError::Refused { topic, code });
            }
            Err((_, code)) => return Err(TopicsError::Refused { topic: spec.name.clone(), code }),
        }
    }
    Ok(())
}

/// Those that are not as they should be.
async fn drifted<'a>(
    admin: &AdminClient<Quiet>,
    settings: &Settings,
    specs: &[&'a Spec],
    options: &AdminOptions,
) -> Result<Vec<Drifted<'a>>, TopicsError> {
    let mut drifted = Vec::new();
    let (mut open, mut attempt) = (specs.to_vec(), 0);
    while !open.is_empty() {
        let asked: Vec<_> = open.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
        let found = admin.describe_configs(&asked, options).await;
        let found =
            found.map_err(|error| TopicsError::Unreachable { brokers: settings.brokers.clone(), error })?;
        let mut unknown = Vec::new();
        for (spec, found) in open.iter().zip(found) {
            match found {
                Ok(found) if differences(spec, &found.entries).next().is_none() => {}
                Ok(found) => drifted.push((*spec, found.entries)),
                // Another service's migrate made it just now, and this broker has not heard of it.
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) if attempt < TRIES => unknown.push(*spec),
                Err(code) if is_forbidden(code) => {
                    tracing::warn!(
                        topic = spec.name,
                        "its settings cannot be checked: Kafka does not let us"
                    );
                }
                Err(code) => return Err(TopicsError::Refused { topic: spec.name.clone(), code }),
            }
        }
        if !unknown.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        (open, attempt) = (unknown, attempt + 1);
    }
    Ok(drifted)
}

fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)
}

/// Name, wanted value and present one of what is not as it should be.
fn differences<'a>(
    spec: &'a Spec,
    found: &'a [ConfigEntry],
) -> impl Iterator<Item = (&'static str, &'a str, &'a str)> {
    spec.config.iter().filter_map(|(name, wanted)| {
        let entry = found.iter().find(|entry| entry.name == *name);
        let present = entry.and_then(|entry| entry.value.as_deref()).unwrap_or("nothing");
        (present != wanted).then_some((*name, wanted.as_str(), present))
    })
}

fn tell(spec: &Spec, found: &[ConfigEntry], what: &str) {
    for (name, wanted, present) in differences(spec, found) {
        tracing::warn!(topic = spec.name, "{name} {what} {wanted}; it was {present}");
    }
}

/// Kafka takes all settings of a topic at once: ours, and those that were set besides.
fn change<'a>(spec: &'a Spec, found: &'a [ConfigEntry]) -> AlterConfig<'a> {
    let is_ours = |name: &str| spec.config.iter().any(|(ours, _)| *ours == name);
    let is_theirs =
        |entry: &&ConfigEntry| entry.source == ConfigSource::DynamicTopic && !is_ours(&entry.name);
    let theirs = found.iter().filter(is_theirs);
    let theirs = theirs.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let ours = spec.config.iter().map(|(name, value)| (*name, value.as_str()));
    let topic = AlterConfig::new(ResourceSpecifier::Topic(&spec.name));
    theirs.chain(ours).fold(topic, |topic, (name, value)| topic.set(name, value))
}
