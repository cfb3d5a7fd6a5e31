//! The reasons why Kafka does not take rows, and which of these outages are logged already.
//!
//! A refusal of one topic (its size limit, its ACL) does not concern other topics; an unreachable Kafka concerns all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

use crate::kafka::KafkaError;
use crate::producer::UNCONFIRMED;
use crate::settings::Settings;

/// The shortest time between two replacements because of the same error.
const FATAL_AGAIN: Duration = Duration::from_secs(1);
/// How long an error that does not repeat itself counts as the reason why rows wait.
const FATAL_LASTS: Duration = Duration::from_secs(10);

/// The reason why a row was not published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// No broker answered in time.
    Unreachable,
    /// The producer cannot continue; [`Fatal`] logs why.
    Ended,
    /// Kafka answered, and refused a row of this topic.
    Topic(String),
    /// Kafka answered, and whether it has the row is not known ([`UNCONFIRMED`]).
    Unconfirmed,
}

impl Refusal {
    pub(super) fn of(topic: &str, error: &ClientError) -> Self {
        use RDKafkaErrorCode::{
            AllBrokersDown, BrokerTransportFailure, MessageTimedOut, OperationTimedOut, PurgeInflight,
            PurgeQueue, QueueFull, RequestTimedOut, Resolve,
        };
        match error.rdkafka_error_code() {
            _ if *error == UNCONFIRMED => Self::Unconfirmed,
            Some(RDKafkaErrorCode::Fatal) => Self::Ended,
            Some(
                AllBrokersDown
                | BrokerTransportFailure
                | MessageTimedOut
                | OperationTimedOut
                | PurgeInflight
                | PurgeQueue
                | QueueFull
                | RequestTimedOut
                | Resolve,
            ) => Self::Unreachable,
            _ => Self::Topic(topic.to_owned()),
        }
    }

    pub(super) fn explain(&self, error: &ClientError, settings: &Settings) -> String {
        let error = KafkaError::from(error.clone());
        match self {
            Self::Topic(_) if !error.is_forbidden() => error.to_string(),
            Self::Unconfirmed => "Kafka has not confirmed events; they are sent again".to_owned(),
            _ => error.explain(settings),
        }
    }
}

/// The refusals because of which rows wait at present. Each is logged once when it begins and once when it ends.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<Refusal, String>);

impl Outages {
    /// Notes that `events` rows were refused because of `error`.
    pub(super) fn begin(&mut self, refusal: Refusal, error: &str, events: usize) {
        if let Some(known) = self.0.get_mut(&refusal) {
            error.clone_into(known);
            return;
        }
        match &refusal {
            Refusal::Unreachable => {
                tracing::error!(error, events, "Kafka cannot be reached; events wait in the outbox");
            }
            Refusal::Ended => {}
            Refusal::Unconfirmed => tracing::warn!(events, "{error}"),
            Refusal::Topic(topic) => {
                tracing::error!(
                    topic,
                    error,
                    events,
                    "Kafka refuses events of this topic; they wait, other topics continue"
                );
            }
        }
        self.0.insert(refusal, error.to_owned());
    }

    /// Ends the outages because of which no row waits any more.
    pub(super) fn keep(&mut self, waiting: &BTreeSet<Refusal>) {
        self.0.retain(|refusal, _| {
            let lasts = waiting.contains(refusal);
            match refusal {
                _ if lasts => {}
                Refusal::Unreachable | Refusal::Ended => tracing::info!("Kafka takes events again"),
                Refusal::Topic(topic) => tracing::info!(topic, "Kafka takes events of this topic again"),
                Refusal::Unconfirmed => tracing::info!("Kafka has confirmed the events that were sent again"),
            }
            lasts
        });
    }

    /// Forgets all outages without logging: another relay leads now, and logs its own.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all outages in one line; `None` when there is none.
    pub(super) fn summary(&self) -> Option<String> {
        let line = |(refusal, error): (&Refusal, &String)| match refusal {
            Refusal::Unreachable => format!("Kafka cannot be reached: {error}"),
            Refusal::Ended | Refusal::Unconfirmed => error.clone(),
            Refusal::Topic(topic) => format!("{topic}: {error}"),
        };
        let lines: Vec<String> = self.0.iter().map(line).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// The error that ended the last producer for good, until Kafka acknowledges a row. Without the right to write to any topic,
/// each new producer ends with it, too.
#[derive(Debug, Default)]
pub(super) struct Fatal(Option<(String, Instant)>);

impl Fatal {
    /// Notes the error, logs it when it is another one than the last, and returns whether the producer must be replaced now.
    pub(super) fn note(&mut self, error: &KafkaError, settings: &Settings) -> bool {
        let why = error.explain(settings);
        let is_known = self.text().is_some_and(|last| *last == why);
        if is_known && self.0.as_ref().is_some_and(|(_, noted)| noted.elapsed() < FATAL_AGAIN) {
            return false;
        }
        if !is_known {
            tracing::error!("the Kafka producer cannot continue; creating a new one: {why}");
        }
        self.0 = Some((why, Instant::now()));
        true
    }

    /// Forgets the error, because Kafka acknowledged a row.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Returns the error, and what to check.
    pub(super) fn text(&self) -> Option<&String> {
        self.0.as_ref().filter(|(_, noted)| noted.elapsed() < FATAL_LASTS).map(|(why, _)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_kafka_answered_concerns_a_single_topic() {
        let of = |code| Refusal::of("orders", &ClientError::MessageProduction(code));
        assert_eq!(of(RDKafkaErrorCode::MessageTimedOut), Refusal::Unreachable);
        assert_eq!(Refusal::of("orders", &UNCONFIRMED), Refusal::Unconfirmed);
        for answered in [
            RDKafkaErrorCode::MessageSizeTooLarge,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::UnknownTopicOrPartition,
        ] {
            assert_eq!(of(answered), Refusal::Topic("orders".to_owned()));
        }
    }

    #[test]
    fn an_outage_ends_when_no_row_waits_for_it() {
        let (orders, mut outages) = (Refusal::Topic("orders".to_owned()), Outages::default());
        outages.begin(orders.clone(), "too large", 1);
        outages.begin(Refusal::Unreachable, "timed out", 9);
        assert_eq!(outages.summary().unwrap(), "Kafka cannot be reached: timed out; orders: too large");
        outages.keep(&BTreeSet::from([orders]));
        assert_eq!(outages.summary().unwrap(), "orders: too large");
        outages.keep(&BTreeSet::new());
        assert!(outages.is_empty());
    }
}
