//! Writes a topic as a Strimzi manifest, for clusters whose topics another tool creates (`TOPICS=verify`).

use std::fmt::Write as _;

use super::spec::Spec;

/// Returns the `KafkaTopic` of a topic. A value in quotes is a string in YAML too.
pub(super) fn of(spec: &Spec, partitions: i32) -> String {
    let Spec { name, replication, settings } = spec;
    let mut text = format!(
        "---\n\
         apiVersion: kafka.strimzi.io/v1\n\
         kind: KafkaTopic\n\
         metadata:\n  \
           name: {}\n  \
           labels: {{strimzi.io/cluster: my-cluster}}\n\
         spec:\n  \
           topicName: {name}\n  \
           partitions: {partitions}\n  \
           replicas: {}\n  \
           config:\n",
        resource_name(name),
        replication.value,
    );
    for wanted in settings {
        let _ = writeln!(text, "    {}: \"{}\"", wanted.name, wanted.value);
    }
    text
}

/// Returns a name that Kubernetes allows: lower-case letters, digits, `-` and `.`.
fn resource_name(topic: &str) -> String {
    topic.to_lowercase().replace('_', "-")
}
