//! Moves where a service reads on. A running service notices within two seconds; repetitions change nothing.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::kafka;
use crate::positions::BEGINNING;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewindTo {
    /// At the first record that is still there.
    Beginning,
    /// Behind the last record: what is there is skipped.
    End,
    /// At this offset, in every partition.
    Offset(i64),
    /// At the first record that Kafka took at or after this moment.
    Time(OffsetDateTime),
}

/// What became of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewound {
    /// The partition.
    pub partition: i32,
    /// Where it was read on before; -2 is the beginning.
    pub from: i64,
    /// Where it is read on now.
    pub to: i64,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// No partition has this offset.
    #[error("offset {offset} is outside of partition {partition}, which holds {low} to {high}")]
    Outside {
        /// What was asked for.
        offset: i64,
        /// Where it is not.
        partition: i32,
        /// The first offset there.
        low: i64,
        /// The one after the last.
        high: i64,
    },
}

/// Moves the positions of all partitions of `topic` (without prefix). Blocks while it asks Kafka.
pub async fn rewind(
    settings: &Settings,
    pool: &PgPool,
    topic: &str,
    to: RewindTo,
) -> Result<Vec<Rewound>, RewindError> {
    let (asked, name) = (settings.clone(), settings.topic_name(topic));
    let targets = tokio::task::spawn_blocking(move || targets(&asked, &name, to));
    let targets = targets.await.map_err(|_| KafkaError::Canceled)??;
    let mut transaction = pool.begin().await?;
    // The lock in a statement of its own: whoever is settling a batch finishes first, and what we then read is new.
    sqlx::query!("SELECT FROM broker.positions WHERE topic = $1 ORDER BY partition FOR UPDATE", topic)
        .fetch_all(&mut *transaction)
        .await?;
    let mut rewound = Vec::with_capacity(targets.len());
    for (partition, to) in targets {
        let from = sqlx::query_scalar!(
            "SELECT next_offset FROM broker.positions WHERE topic = $1 AND partition = $2",
            topic,
            partition
        )
        .fetch_optional(&mut *transaction)
        .await?
        .unwrap_or(BEGINNING);
        sqlx::query!(
            "INSERT INTO broker.positions (topic, partition, next_offset) VALUES ($1, $2, $3)
             ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
            topic,
            partition,
            to
        )
        .execute(&mut *transaction)
        .await?;
        rewound.push(Rewound { partition, from, to });
    }
    transaction.commit().await?;
    Ok(rewound)
}

fn targets(settings: &Settings, topic: &str, to: RewindTo) -> Result<Vec<(i32, i64)>, RewindError> {
    let consumer: BaseConsumer = kafka::client(settings).set("group.id", settings.group()).create()?;
    let partitions = 0..settings.partitions;
    let bounds = |partition| consumer.fetch_watermarks(topic, partition, TIMEOUT);
    match to {
        RewindTo::Beginning => Ok(partitions.map(|partition| (partition, BEGINNING)).collect()),
        RewindTo::End => partitions.map(|partition| Ok((partition, bounds(partition)?.1))).collect(),
        RewindTo::Offset(offset) => partitions
            .map(|partition| {
                let (low, high) = bounds(partition)?;
                if (low..=high).contains(&offset) {
                    Ok((partition, offset))
                } else {
                    Err(RewindError::Outside { offset, partition, low, high })
                }
            })
            .collect(),
        RewindTo::Time(time) => {
            let millis = i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition_offset(topic, partition, Offset::Offset(millis))?;
            }
            let found = consumer.offsets_for_times(list, TIMEOUT)?;
            let target = |(partition, offset)| match offset {
                Offset::Offset(offset) => Ok((partition, offset)),
                // Nothing as new as that: behind the last.
                _ => Ok((partition, bounds(partition)?.1)),
            };
            found
                .elements()
                .iter()
                .map(|element| (element.partition(), element.offset()))
                .map(target)
                .collect()
        }
    }
}
