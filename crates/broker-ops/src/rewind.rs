//! Moves the position of a consumer. A running service follows within two seconds; repetitions change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::maintenance::{BEGINNING, LogReader, Partition};
use broker::{KafkaError, Settings};
use sqlx::PgPool;
use time::OffsetDateTime;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The new position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewindTo {
    /// The first record that is still in the log.
    Beginning,
    /// After the last record: all present records are skipped.
    End,
    /// This offset, in every partition whose log reaches it.
    Offset(i64),
    /// The first record that Kafka appended at or after this moment.
    Time(OffsetDateTime),
}

/// The move of one partition's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewound {
    /// The partition.
    pub partition: i32,
    /// The position before; -2 is the beginning.
    pub from: i64,
    /// The position now.
    pub to: i64,
}

/// The reason why no position was moved.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// No partition has this offset.
    #[error("no partition reaches offset {offset}: the longest log ends at {longest}")]
    Outside {
        /// The requested offset.
        offset: i64,
        /// The end of the longest log.
        longest: i64,
    },
    /// The topic has no such partition.
    #[error("{topic} has no partition {partition}: its partitions are 0 to {}", count - 1)]
    NoPartition {
        /// The topic, without the prefix.
        topic: String,
        /// The requested partition.
        partition: i32,
        /// The number of partitions.
        count: i32,
    },
    /// The topic does not exist, or has fewer partitions than the settings say.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {program} migrate")]
    NoTopic {
        /// The topic's full name.
        topic: String,
        /// The program whose `migrate` creates it.
        program: String,
    },
}

/// Moves the positions of `topic` (without prefix), and returns those that were moved.
pub async fn rewind(
    settings: &Settings,
    pool: &PgPool,
    topic: &str,
    to: RewindTo,
) -> Result<Vec<Rewound>, RewindError> {
    rewind_partition(settings, pool, topic, None, to).await
}

/// Moves the position of one partition of `topic`, or with `None` those of all.
pub async fn rewind_partition(
    settings: &Settings,
    pool: &PgPool,
    topic: &str,
    partition: Option<i32>,
    to: RewindTo,
) -> Result<Vec<Rewound>, RewindError> {
    if let Some(partition) = partition.filter(|partition| !(0..settings.partitions).contains(partition)) {
        return Err(RewindError::NoPartition {
            topic: topic.to_owned(),
            partition,
            count: settings.partitions,
        });
    }
    let mut targets = targets(settings, topic, to).await?;
    targets.retain(|(_, number), _| partition.is_none_or(|partition| partition == *number));
    let mut transaction = pool.begin().await?;
    // The lock is a statement of its own: a batch that is being applied commits first, and later statements see its position.
    sqlx::query!("SELECT FROM broker.positions WHERE topic = $1 ORDER BY partition FOR UPDATE", topic)
        .fetch_all(&mut *transaction)
        .await?;
    let mut rewound = Vec::with_capacity(targets.len());
    for ((_, partition), to) in targets {
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
             ON CONFLICT (topic, partition) DO UPDATE SET
                 next_offset = excluded.next_offset,
                 rewound_from = greatest(positions.rewound_from, positions.next_offset), last_offset = NULL, last_record = NULL, last_at = NULL",
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

async fn targets(
    settings: &Settings,
    topic: &str,
    to: RewindTo,
) -> Result<BTreeMap<Partition, i64>, RewindError> {
    let numbers = 0..settings.partitions;
    let partitions: Vec<Partition> = numbers.map(|number| (topic.to_owned(), number)).collect();
    if to == RewindTo::Beginning {
        return Ok(partitions.into_iter().map(|partition| (partition, BEGINNING)).collect());
    }
    let reader = LogReader::new(settings, TIMEOUT)?;
    let Some(logs) = reader.bounds(topic).await? else {
        return Err(RewindError::NoTopic {
            topic: settings.topic_name(topic),
            program: settings.program.clone(),
        });
    };
    match to {
        RewindTo::Offset(offset) => {
            let longest = logs.values().map(|log| log.end).max().unwrap_or(0);
            if !(0..=longest).contains(&offset) {
                return Err(RewindError::Outside { offset, longest });
            }
            // An offset before the log becomes its first one. Partitions whose logs do not reach the offset are not moved.
            Ok(logs
                .into_iter()
                .filter(|(_, log)| offset <= log.end)
                .map(|(partition, log)| (partition, offset.max(log.start)))
                .collect())
        }
        RewindTo::Time(time) => Ok(reader.offsets_at(logs, time).await?),
        RewindTo::End | RewindTo::Beginning => {
            Ok(logs.into_iter().map(|(partition, log)| (partition, log.end)).collect())
        }
    }
}
