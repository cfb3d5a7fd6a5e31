//! `KAFKA_CLIENT_…`: passes any other property to librdkafka, except those on which correctness depends.

use secrecy::SecretString;

use crate::ConnectionError;

/// The prefix of the variables that name a property of librdkafka.
pub const PREFIX: &str = "KAFKA_CLIENT_";

const POSITION: &str = "the position in the database decides where a consumer reads";
const MEMBERSHIP: &str = "the services set their own groups and members";
const ACKNOWLEDGED: &str = "an event leaves the outbox only when all replicas have it, once and in order";
const TIMING: &str = "leases and alarms are matched to it";
const NOTICED: &str = "a lost connection and the end of a log must be noticed";

const REFUSED: [(&str, &str); 34] = [
    ("bootstrap.servers", "set KAFKA_BROKERS"),
    ("metadata.broker.list", "set KAFKA_BROKERS"),
    ("client.id", "set INSTANCE"),
    ("security.protocol", "set KAFKA_SECURITY_PROTOCOL"),
    ("sasl.mechanism", "set KAFKA_SASL_MECHANISM"),
    ("sasl.mechanisms", "set KAFKA_SASL_MECHANISM"),
    ("sasl.username", "set KAFKA_SASL_USERNAME"),
    ("sasl.password", "set KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE"),
    ("ssl.ca.location", "set KAFKA_SSL_CA_LOCATION"),
    ("ssl.certificate.location", "set KAFKA_SSL_CERTIFICATE_LOCATION"),
    ("ssl.key.location", "set KAFKA_SSL_KEY_LOCATION"),
    ("ssl.key.password", "set KAFKA_SSL_KEY_PASSWORD"),
    ("acks", ACKNOWLEDGED),
    ("request.required.acks", ACKNOWLEDGED),
    ("enable.idempotence", ACKNOWLEDGED),
    ("enable.gapless.guarantee", ACKNOWLEDGED),
    ("max.in.flight", ACKNOWLEDGED),
    ("max.in.flight.requests.per.connection", ACKNOWLEDGED),
    ("transactional.id", ACKNOWLEDGED),
    ("message.timeout.ms", TIMING),
    ("delivery.timeout.ms", TIMING),
    ("max.poll.interval.ms", TIMING),
    ("partitioner", "all publishers must place a key on the same partition"),
    ("message.max.bytes", "events of up to 1 MiB must be published"),
    ("group.id", MEMBERSHIP),
    ("group.instance.id", MEMBERSHIP),
    ("group.protocol", MEMBERSHIP),
    ("partition.assignment.strategy", MEMBERSHIP),
    ("auto.offset.reset", POSITION),
    ("enable.auto.commit", POSITION),
    ("enable.auto.offset.store", POSITION),
    ("enable.partition.eof", NOTICED),
    ("log.connection.close", NOTICED),
    ("statistics.interval.ms", NOTICED),
];

/// Returns the properties that these variables pass to librdkafka.
pub(crate) fn properties(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, SecretString)>, ConnectionError> {
    let passed = variables.filter_map(|(variable, value)| {
        let name = variable.strip_prefix(PREFIX)?.to_lowercase().replace('_', ".");
        (!value.is_empty()).then_some((variable, name, value))
    });
    let allowed =
        passed.map(|(variable, name, value)| match REFUSED.iter().find(|(refused, _)| *refused == name) {
            Some((_, reason)) => Err(ConnectionError::new(variable, format!("is refused: {reason}"))),
            None => Ok((name, value.into())),
        });
    allowed.collect()
}

pub(crate) fn variable(property: &str) -> String {
    format!("{PREFIX}{}", property.to_uppercase().replace('.', "_"))
}
