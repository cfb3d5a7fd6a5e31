//! Sends rows to Kafka and reports the result of each.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connection::Connection;
use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use tokio::sync::mpsc;

use crate::kafka;
use crate::outbox::Row;
use crate::settings::Settings;

/// The error of a row that librdkafka calls delivered without knowing its offset. When a request fails and a later one of the same
/// partition succeeds, librdkafka infers that Kafka has the rows of both, because a broker accepts sequence numbers in order
/// (`rd_kafka_dr_implicit_ack`). But a broker that knows nothing of a producer accepts any first number, so the earlier row can be
/// lost: for example while a restarted broker takes over its partitions. Such a row is sent again; readers skip a repetition.
pub(crate) const UNCONFIRMED: KafkaError = KafkaError::MessageProduction(RDKafkaErrorCode::NoOffset);

/// The result of sending the row with this id.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    pub id: i64,
    pub result: Result<(), KafkaError>,
}

pub(crate) struct Producer {
    inner: ThreadedProducer<Context>,
    /// Dropped after `inner`: rdkafka waits at most 500 ms for the results of the rows that it purges.
    unanswered: Arc<Unanswered>,
}

/// Passes the results on. The delivery callback runs on librdkafka's thread and must not do more.
struct Context {
    unanswered: Arc<Unanswered>,
    connection: Connection,
}

/// The rows that were sent and have no result yet; refuses them when it is dropped.
struct Unanswered {
    ids: Mutex<HashSet<i64>>,
    acknowledgements: mpsc::UnboundedSender<Acknowledgement>,
}

impl Unanswered {
    fn add(&self, id: i64) {
        self.ids().insert(id);
    }

    fn answer(&self, id: i64, result: Result<(), KafkaError>) {
        self.ids().remove(&id);
        let _ = self.acknowledgements.send(Acknowledgement { id, result });
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let ids = std::mem::take(&mut *self.ids());
        for id in ids {
            self.answer(id, Err(KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight)));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(&self.connection, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&self.connection, &error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<i64>) {
        let result = match result {
            Ok(message) if message.offset() < 0 => Err(UNCONFIRMED),
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        self.unanswered.answer(*id, result);
    }
}

impl Producer {
    pub(crate) fn new(
        settings: &Settings,
        acknowledgements: mpsc::UnboundedSender<Acknowledgement>,
    ) -> Result<Self, KafkaError> {
        let unanswered = Arc::new(Unanswered { ids: Mutex::default(), acknowledgements });
        let context =
            Context { unanswered: Arc::clone(&unanswered), connection: settings.connection.clone() };
        let inner: ThreadedProducer<Context, NoCustomPartitioner> =
            kafka::producer(settings).create_with_context(context)?;
        Ok(Self { inner, unanswered })
    }

    /// Sends a row. An acknowledgement follows in any case: when librdkafka refuses the row at once, and when this producer is
    /// dropped.
    pub(crate) fn send(&self, id: i64, topic: &str, row: &Row) {
        let headers = row.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: value.bytes() })
        });
        let mut record: BaseRecord<'_, [u8], [u8], Box<i64>> =
            BaseRecord::with_opaque_to(topic, Box::new(id)).headers(headers);
        if let Some(key) = &row.key {
            record = record.key(key.as_slice());
        }
        if let Some(value) = &row.value {
            record = record.payload(value.as_slice());
        }
        self.unanswered.add(id);
        if let Err((error, _)) = self.inner.send(record) {
            self.unanswered.answer(id, Err(error));
        }
    }

    /// Returns the error after which this producer never delivers again and must be replaced.
    pub(crate) fn fatal_error(&self) -> Option<KafkaError> {
        let client: &Client<Context> = self.inner.client();
        client.fatal_error().map(|(code, text)| {
            tracing::debug!("the producer cannot continue: {text}");
            KafkaError::Global(code)
        })
    }

    /// Waits until nothing is in flight, at most `bound`. Blocks.
    pub(crate) fn flush(&self, bound: Duration) -> Result<(), KafkaError> {
        self.inner.flush(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    #[test]
    fn a_row_that_the_client_only_infers_to_be_in_kafka_is_not_acknowledged() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 1, 1).unwrap();
        let single = [("KAFKA_CLIENT_BATCH_NUM_MESSAGES".to_owned(), "1".to_owned())];
        let connection = Connection::of_variables(single.into_iter()).unwrap();
        let settings =
            Settings { brokers: cluster.bootstrap_servers(), connection, ..Settings::new("ledger", "") };
        let (sender, mut acknowledgements) = mpsc::unbounded_channel();
        let producer = Producer::new(&settings, sender).unwrap();
        let row = Row { topic: "orders".to_owned(), key: None, value: Some(vec![1]), headers: Vec::new() };
        producer.send(0, "orders", &row);
        assert!(acknowledgements.blocking_recv().unwrap().result.is_ok());

        // The second request leaves long before the answer to the first.
        cluster.broker_round_trip_time(1, Duration::from_secs(1)).unwrap();
        // Of two requests in flight, the broker refuses the first for now, and accepts the second.
        cluster
            .request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS]);
        producer.send(1, "orders", &row);
        producer.send(2, "orders", &row);
        let mut results: Vec<_> = [(); 2].map(|()| acknowledgements.blocking_recv().unwrap()).into();
        results.sort_unstable_by_key(|found| found.id);
        assert!(results[0].result.is_err() && results[1].result.is_ok(), "{results:?}");
    }

    #[test]
    fn rows_without_a_result_are_refused_when_the_producer_is_gone() {
        let (acknowledgements, mut results) = mpsc::unbounded_channel();
        let unanswered = Unanswered { ids: Mutex::default(), acknowledgements };
        unanswered.add(1);
        unanswered.add(2);
        unanswered.answer(1, Ok(()));
        drop(unanswered);
        let mut next = || results.blocking_recv().map(|found| (found.id, found.result.is_ok()));
        assert_eq!([next(), next(), next()], [Some((1, true)), Some((2, false)), None]);
    }
}
