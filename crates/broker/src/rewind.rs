//! Moves where a service reads on. A running service notices within two seconds; repetitions change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::KafkaError;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::positions::{BEGINNING, Partition};
use crate::settings::Settings;
use crate::{kafka, logs};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewindTo {
    /// At the first record that is still there.
    Beginning,
    /// Behind the last record: what is there is skipped.
    End,
    /// At this offset, in every partition whose log reaches so far.
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
    #[error("no partition reaches offset {offset}: the longest log ends at {longest}")]
    Outside {
        /// What was asked for.
        offset: i64,
        /// The end of the longest log.
        longest: i64,
    },
    /// The topic has no such partition.
    #[error("{topic} has no partition {partition}: its partitions are 0 to {}", count - 1)]
    NoPartition {
        /// Without prefix.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// How many there are.
        count: i32,
    },
    /// There is no such topic, or it has fewer partitions than the settings say.
    #[error("Kafka has no topic {topic} with TOPIC_PARTITIONS partitions; run: {program} migrate")]
    NoTopic {
        /// Its full name.
        topic: String,
        /// What can create it.
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
    let (asked, name) = (settings.clone(), topic.to_owned());
    let targets = kafka::blocking(move || targets(&asked, &name, to));
    let mut targets = targets.await.ok_or(KafkaError::Canceled)??;
    targets.retain(|(_, number), _| partition.is_none_or(|partition| partition == *number));
    let mut transaction = pool.begin().await?;
    // The lock in a statement of its own: whoever is settling a batch finishes first, and what we then read is new.
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

fn targets(settings: &Settings, topic: &str, to: RewindTo) -> Result<BTreeMap<Partition, i64>, RewindError> {
    let numbers = 0..settings.partitions;
    let partitions: Vec<Partition> = numbers.map(|number| (topic.to_owned(), number)).collect();
    if to == RewindTo::Beginning {
        return Ok(partitions.into_iter().map(|partition| (partition, BEGINNING)).collect());
    }
    let reader = kafka::reader(settings)?;
    let Some(logs) = logs::of_topic(&reader, settings, topic, TIMEOUT)? else {
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
            // Older than what is left: the first that is. A log that does not reach so far is not moved.
            Ok(logs
                .into_iter()
                .filter(|(_, log)| offset <= log.end)
                .map(|(partition, log)| (partition, offset.max(log.start)))
                .collect())
        }
        RewindTo::Time(time) => Ok(logs::starts_at(&reader, settings, &logs, time, TIMEOUT)?),
        RewindTo::End | RewindTo::Beginning => {
            Ok(logs.into_iter().map(|(partition, log)| (partition, log.end)).collect())
        }
    }
}
