//! Whether a system has come to rest: every outbox empty, every position at the end of its partition, no dead letter.

use crate::error::Result;
use crate::topics;
use sqlx::{Connection as _, PgConnection, Row as _};

/// How far a service has read one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic's name without the system's prefix.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset that it reads next.
    pub next: i64,
    /// The partition's end: the offset that the next record will get.
    pub end: i64,
}

impl Position {
    /// How many offsets lie between the two.
    pub fn lag(&self) -> i64 {
        self.end - self.next
    }
}

/// One look at one service.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Look {
    /// What is still waiting, in words; empty when the service is at rest.
    pub waiting: Vec<String>,
    /// The sum of the ends of all partitions that it reads: two looks with the same sum saw no record come between.
    pub ends: i64,
}

/// Looks at one service.
pub async fn look(service: &str, database_url: &str, brokers: &str, topic_prefix: &str) -> Result<Look> {
    let mut connection = PgConnection::connect(database_url).await?;
    let mut look = Look::default();
    for (table, condition, [one, many]) in [
        ("broker.outbox", "true", ["event in the outbox", "events in the outbox"]),
        ("broker.dead_letters", "redriven_at IS NULL", ["dead letter", "dead letters"]),
    ] {
        let count = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut connection).await?;
        if count > 0 {
            let what = if count == 1 { one } else { many };
            look.waiting.push(format!("{service}: {count} {what}"));
        }
    }
    connection.close().await?;
    for position in positions(database_url, brokers, topic_prefix).await? {
        let (lag, Position { topic, partition, end, .. }) = (position.lag(), &position);
        look.ends += end;
        if lag > 0 {
            look.waiting.push(format!("{service}: lag {lag} on {topic} [{partition}]"));
        }
    }
    Ok(look)
}

/// The topics that a service has read, without the system's prefix.
pub async fn topics(database_url: &str) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect(database_url).await?;
    let topics =
        sqlx::query_scalar("SELECT DISTINCT topic FROM broker.positions").fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(topics)
}

/// Where a service reads on in each partition, beside each partition's end.
pub async fn positions(database_url: &str, brokers: &str, topic_prefix: &str) -> Result<Vec<Position>> {
    let mut connection = PgConnection::connect(database_url).await?;
    let rows =
        sqlx::query("SELECT topic, partition, next_offset FROM broker.positions ORDER BY topic, partition");
    let rows = rows.fetch_all(&mut connection).await?;
    connection.close().await?;
    let rows: Vec<(String, i32, i64)> = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect::<Result<_>>()?;
    let wanted: Vec<(String, i32)> =
        rows.iter().map(|(topic, partition, _)| (format!("{topic_prefix}{topic}"), *partition)).collect();
    let (starts, ends) = topics::bounds(brokers, wanted).await?;
    let bounded = rows.into_iter().zip(starts).zip(ends).map(|((row, start), end)| (row, start, end));
    // -2 stands for the beginning of the log.
    let position = |((topic, partition, next), start, end): ((String, i32, i64), i64, i64)| Position {
        topic,
        partition,
        next: next.max(start),
        end,
    };
    Ok(bounded.map(position).collect())
}
