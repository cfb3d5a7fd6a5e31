//! Corrects the settings of existing topics, which may be those of an older version or of another `TOPIC_RETENTION`, or may
//! have been changed by hand. Retention and erasures depend on them.

use broker::Settings;
use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigEntry, ConfigSource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::error::RDKafkaErrorCode;

use super::{Admin, CreateTopicsError, PAUSE, Spec, TRIES};

/// A topic whose settings differ, and all of its settings.
type Drifted<'a> = (&'a Spec, Vec<ConfigEntry>);

/// Corrects and logs settings that differ, and keeps additional ones. Logs a warning and continues when the ACLs forbid to
/// read or change the settings.
pub(super) async fn correct(
    admin: &Admin,
    settings: &Settings,
    specs: &[&Spec],
    options: &AdminOptions,
) -> Result<(), CreateTopicsError> {
    let drifted = drifted(admin, settings, specs, options).await?;
    if drifted.is_empty() {
        return Ok(());
    }
    let changes: Vec<AlterConfig<'_>> = drifted.iter().map(|(spec, found)| change(spec, found)).collect();
    let results = admin.alter_configs(&changes, options).await;
    let results = results.map_err(|error| CreateTopicsError::unreachable(settings, error))?;
    for (result, (spec, found)) in results.into_iter().zip(&drifted) {
        match result {
            Ok(_) => log_differences(spec, found, "is set to"),
            Err((_, code)) if is_forbidden(code) => {
                log_differences(spec, found, "cannot be set, because the ACLs forbid it, to");
            }
            Err((OwnedResourceSpecifier::Topic(topic), code)) => {
                return Err(CreateTopicsError::refused(&topic, code));
            }
            Err((_, code)) => return Err(CreateTopicsError::refused(&spec.name, code)),
        }
    }
    Ok(())
}

/// Returns the topics whose settings differ.
async fn drifted<'a>(
    admin: &Admin,
    settings: &Settings,
    specs: &[&'a Spec],
    options: &AdminOptions,
) -> Result<Vec<Drifted<'a>>, CreateTopicsError> {
    let mut drifted = Vec::new();
    let (mut open, mut attempt) = (specs.to_vec(), 0);
    while !open.is_empty() {
        let asked: Vec<_> = open.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
        let found = admin.describe_configs(&asked, options).await;
        let found = found.map_err(|error| CreateTopicsError::unreachable(settings, error))?;
        let mut unknown = Vec::new();
        for (spec, found) in open.iter().zip(found) {
            match found {
                Ok(found) if differences(spec, &found.entries).next().is_none() => {}
                Ok(found) => drifted.push((*spec, found.entries)),
                // Another service's `migrate` created the topic a moment ago, and this broker does not know it yet.
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) if attempt < TRIES => unknown.push(*spec),
                Err(code) if is_forbidden(code) => {
                    tracing::warn!(
                        topic = spec.name,
                        "its settings cannot be checked: the ACLs forbid to read them"
                    );
                }
                Err(code) => return Err(CreateTopicsError::refused(&spec.name, code)),
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

/// Returns name, wanted value and present value of each setting that differs.
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

fn log_differences(spec: &Spec, found: &[ConfigEntry], what: &str) {
    for (name, wanted, present) in differences(spec, found) {
        tracing::warn!(topic = spec.name, "{name} {what} {wanted}; it was {present}");
    }
}

/// Returns the change of a topic. Kafka replaces all settings at once, so the change contains additional ones too.
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
