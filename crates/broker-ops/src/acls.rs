//! The rights (ACLs) that a service needs at Kafka, derived from the topics that it publishes and consumes.
//!
//! Read and write include describe. A producer that is idempotent needs no right beside write (Kafka 2.8 and later).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use broker::Settings;
use envelope::Topic;

/// A right of a user: an operation on a resource, allowed from every host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// The resource.
    pub resource: Resource,
    /// The operation.
    pub operation: Operation,
}

/// A resource of Kafka, by its full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
}

/// An operation, as Kafka and Strimzi name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr)]
pub enum Operation {
    /// Change the settings of a topic, which includes reading them.
    AlterConfigs,
    /// Create a topic.
    Create,
    /// See that a topic exists, its partitions and replicas.
    Describe,
    /// Read the settings of a topic.
    DescribeConfigs,
    /// Read records, or join a group.
    Read,
    /// Publish records.
    Write,
}

/// Returns the rights of the running service and of its commands except `migrate`.
///
/// The service reads its own topics too: it compares them with its database, which may have been restored from an older copy.
/// One that `shows` other services has no dead letters of its own; it describes their groups and reads their dead letters.
pub fn of_service(settings: &Settings, topics: &[Topic], shows: &[&str]) -> Vec<Acl> {
    // A client that only reads looks its group up, too.
    let mut needed = vec![Acl { resource: Resource::Group(settings.group()), operation: Operation::Read }];
    for topic in topics {
        needed.push(on_topic(settings, topic.name, Operation::Read));
        needed.push(on_topic(settings, topic.name, Operation::DescribeConfigs));
        if topic.owner == settings.service {
            needed.push(on_topic(settings, topic.name, Operation::Write));
        }
    }
    let dead_letters = settings.dead_letter_topic();
    needed.push(on_topic(settings, &dead_letters, Operation::DescribeConfigs));
    if shows.is_empty() {
        needed.push(on_topic(settings, &dead_letters, Operation::Write));
    }
    for service in shows {
        let its = Settings { service: (*service).to_owned(), ..settings.clone() };
        needed.push(Acl { resource: Resource::Group(its.group()), operation: Operation::Describe });
        needed.push(on_topic(settings, &its.dead_letter_topic(), Operation::Read));
    }
    needed.sort();
    needed
}

/// Returns the rights of `migrate`.
pub fn of_migration(settings: &Settings, topics: &[Topic]) -> Vec<Acl> {
    use Operation::{AlterConfigs, Create, Describe};
    let dead_letters = settings.dead_letter_topic();
    let names = topics.iter().map(|topic| topic.name).chain([dead_letters.as_str()]);
    let mut needed: Vec<Acl> = names
        .flat_map(|name| {
            [AlterConfigs, Create, Describe].map(|operation| on_topic(settings, name, operation))
        })
        .collect();
    needed.sort();
    needed
}

fn on_topic(settings: &Settings, topic: &str, operation: Operation) -> Acl {
    Acl { resource: Resource::Topic(settings.topic_name(topic)), operation }
}

/// Returns lines of Kafka's own tool: one per set of operations, since each line starts a JVM.
pub fn kafka_acls(needed: &[Acl], user: &str, brokers: &str) -> String {
    let mut text = String::new();
    for (operations, resources) in grouped(needed) {
        let _ = write!(text, "kafka-acls --bootstrap-server {brokers} --add --allow-principal User:{user}");
        for operation in operations {
            let _ = write!(text, " --operation {operation}");
        }
        for resource in resources {
            let _ = match resource {
                Resource::Topic(name) => write!(text, " --topic {name}"),
                Resource::Group(name) => write!(text, " --group {name}"),
            };
        }
        text.push('\n');
    }
    text
}

/// Returns a `KafkaUser` of Strimzi.
pub fn strimzi(needed: &[Acl], user: &str) -> String {
    let mut text = format!(
        "apiVersion: kafka.strimzi.io/v1\n\
         kind: KafkaUser\n\
         metadata:\n  \
           name: {user}\n  \
           labels: {{strimzi.io/cluster: my-cluster}}\n\
         spec:\n  \
           authentication: {{type: scram-sha-512}}\n  \
           authorization:\n    \
             type: simple\n    \
             acls:\n"
    );
    let mut resources: BTreeMap<&Resource, Vec<&str>> = BTreeMap::new();
    for acl in needed {
        resources.entry(&acl.resource).or_default().push(acl.operation.into());
    }
    for (resource, operations) in resources {
        let (kind, name) = match resource {
            Resource::Topic(name) => ("topic", name),
            Resource::Group(name) => ("group", name),
        };
        let _ = writeln!(
            text,
            "      - resource: {{type: {kind}, name: {name}, patternType: literal}}\n        operations: [{}]",
            operations.join(", ")
        );
    }
    text
}

/// Returns the resources of each set of operations.
fn grouped(needed: &[Acl]) -> BTreeMap<Vec<Operation>, Vec<&Resource>> {
    let mut operations: BTreeMap<&Resource, Vec<Operation>> = BTreeMap::new();
    for acl in needed {
        operations.entry(&acl.resource).or_default().push(acl.operation);
    }
    let mut grouped: BTreeMap<_, Vec<&Resource>> = BTreeMap::new();
    for (resource, operations) in operations {
        // Kafka's tool applies all operations to all resources of a line, and a group has other operations than a topic.
        let kind = matches!(resource, Resource::Group(_));
        grouped.entry((kind, operations)).or_default().push(resource);
    }
    grouped.into_iter().map(|((_, operations), resources)| (operations, resources)).collect()
}
