//! The reasons why Kafka does not take rows, and which of these outages are logged already.
//!
//! A refusal of one topic (its size limit, its ACL) does not concern other topics; an unreachable Kafka concerns all.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::settings::Settings;

/// The reason why a row was not published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// No broker answered in time.
    Unreachable,
    /// The producer cannot continue; [`Fatal`](super::fatal::Fatal) logs why.
    Ended,
    /// Kafka answered, and refused a row of this topic.
    Topic(String),
}

impl Refusal {
    /// Returns the reason for an `error` of a row of `topic`.
    pub(super) fn of(topic: &str, error: &KafkaError) -> Self {
        use RDKafkaErrorCode::{
            AllBrokersDown, BrokerTransportFailure, MessageTimedOut, OperationTimedOut, PurgeInflight,
            PurgeQueue, QueueFull, RequestTimedOut, Resolve,
        };
        let unanswered = matches!(
            error.rdkafka_error_code(),
            Some(
                AllBrokersDown
                    | BrokerTransportFailure
                    | MessageTimedOut
                    | OperationTimedOut
                    | PurgeInflight
                    | PurgeQueue
                    | QueueFull
                    | RequestTimedOut
                    | Resolve
            )
        );
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => Self::Ended,
            _ if unanswered => Self::Unreachable,
            _ => Self::Topic(topic.to_owned()),
        }
    }

    /// Returns the text for the operator.
    pub(super) fn explain(&self, error: &KafkaError, settings: &Settings) -> String {
        let error = crate::KafkaError::from(error.clone());
        match self {
            Self::Topic(_) if !error.is_forbidden() => error.to_string(),
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
            Refusal::Ended => error.clone(),
            Refusal::Topic(topic) => format!("{topic}: {error}"),
        };
        let lines: Vec<String> = self.0.iter().map(line).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_kafka_answered_concerns_a_single_topic() {
        let of = |code| Refusal::of("orders", &KafkaError::MessageProduction(code));
        assert_eq!(of(RDKafkaErrorCode::MessageTimedOut), Refusal::Unreachable);
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
