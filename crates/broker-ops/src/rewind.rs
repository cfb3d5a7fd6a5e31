//! Moves the position of a consumer. A running service follows within two seconds; repetitions change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::Settings;
use broker::maintenance::{BEGINNING, Partition};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::error::OpsError;
use crate::logs::{LogReader, partitions};

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

/// Moves the position of one partition of `topic` (without prefix), or with `None` those of all. Returns those that were moved.
pub async fn rewind(
    settings: &Settings,
    pool: &PgPool,
    topic: &str,
    partition: Option<i32>,
    to: RewindTo,
) -> Result<Vec<Rewound>, OpsError> {
    if let Some(partition) = partition.filter(|partition| !(0..settings.partitions).contains(partition)) {
        let (topic, count) = (topic.to_owned(), settings.partitions);
        return Err(OpsError::NoPartition { topic, partition, count });
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
) -> Result<BTreeMap<Partition, i64>, OpsError> {
    if to == RewindTo::Beginning {
        return Ok(partitions(settings, topic).into_iter().map(|partition| (partition, BEGINNING)).collect());
    }
    let reader = LogReader::new(settings, TIMEOUT)?;
    let Some(logs) = reader.bounds(topic).await? else {
        return Err(OpsError::no_topic(settings, topic));
    };
    match to {
        RewindTo::Offset(offset) => {
            let longest = logs.values().map(|log| log.end).max().unwrap_or(0);
            if !(0..=longest).contains(&offset) {
                return Err(OpsError::Outside { offset, longest });
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
