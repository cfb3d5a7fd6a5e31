//! One Kafka hop as a yardstick: the time from handing a record to the producer until a consumer has it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use testkit::kafka_client;

use bench::latency::Latencies;

/// The size of a record: that of an event of this shop.
const BYTES: usize = 400;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends records at `rate` per second for `length` and returns the latencies of their hops. Uses the settings of the
/// services: acks=all, idempotent, no linger.
pub(crate) async fn latencies(brokers: &str, rate: f64, length: Duration) -> anyhow::Result<Latencies> {
    let topic = format!("bench-hop-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> = kafka_client(brokers).create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    admin.create_topics(&[NewTopic::new(&topic, 1, TopicReplication::Fixed(1))], &options).await?;
    let latencies = measure(brokers, &topic, rate, length).await;
    admin.delete_topics(&[&topic], &options).await?;
    latencies
}

async fn measure(brokers: &str, topic: &str, rate: f64, length: Duration) -> anyhow::Result<Latencies> {
    let producer: FutureProducer =
        kafka_client(brokers).set("enable.idempotence", "true").set("linger.ms", "0").create()?;
    let consumer: StreamConsumer =
        kafka_client(brokers).set("group.id", topic).set("fetch.queue.backoff.ms", "5").create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let (start, count) = (Instant::now(), (rate * length.as_secs_f64()) as u64);
    let send = async {
        for number in 0..count {
            tokio::time::sleep_until((start + Duration::from_secs_f64(number as f64 / rate)).into()).await;
            let sent = format!("{:0BYTES$}", start.elapsed().as_nanos());
            let record = FutureRecord::<(), _>::to(topic).payload(&sent);
            // Not awaited: the next record is due whether this one is acknowledged or not.
            let _ = producer.send_result(record);
        }
        anyhow::Ok(())
    };
    let receive = async {
        let mut latencies = Latencies::new()?;
        for _ in 0..count {
            let received =
                tokio::time::timeout(TIMEOUT, consumer.recv()).await.context("a record is missing")??;
            let at: u64 = received.payload_view::<str>().context("a payload")??.parse()?;
            latencies.record(start.elapsed().saturating_sub(Duration::from_nanos(at)));
        }
        anyhow::Ok(latencies)
    };
    let ((), latencies) = tokio::try_join!(send, receive)?;
    Ok(latencies)
}
