//! A stream of events at a steady rate, for the board: more than the machine's shops order.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use testkit::kafka_client;
use tokio::time::MissedTickBehavior;

use crate::forge::headers;
use crate::{Random, TIMEOUT};

/// The interval between two portions.
const TICK: Duration = Duration::from_millis(20);

/// Writes `notification.sent` events of `seconds` at `per_second` to the topic of this full name, which only the board reads.
pub async fn flood(brokers: &str, topic: &str, per_second: u32, seconds: u32) {
    let producer: FutureProducer = kafka_client(brokers).set("linger.ms", "5").create().unwrap();
    let (mut ticks, mut random) = (tokio::time::interval(TICK), Random::new(u64::from(per_second)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (total, per_tick) = (per_second * seconds, per_second.div_ceil(50));
    for event in 0..total {
        if event % per_tick == 0 {
            ticks.tick().await;
        }
        let order = format!("01920000-0000-7000-8000-{:012x}", random.below(1 << 40));
        let value = format!(
            r#"{{"channel":"log","delivery_id":"{order}","kind":"order_confirmed","order_id":"{order}"}}"#
        );
        loop {
            let record = FutureRecord::to(topic).key(&order).payload(&value);
            match producer.send_result(record.headers(headers("/notification", "notification.sent.v1"))) {
                Ok(_) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => ticks.tick().await,
                Err((error, _)) => panic!("{error}"),
            };
        }
    }
    tokio::task::spawn_blocking(move || producer.flush(TIMEOUT)).await.unwrap().unwrap();
}
