//! The backlog of a service: rows in its outbox, unread records, dead letters. A system without a backlog is idle.

use crate::error::Result;
use crate::topics::{self, Bounds};
use sqlx::{Connection as _, PgConnection};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic's name without the system's prefix.
    pub topic: String,
    pub partition: i32,
    /// The offset of the next record to read; below 0 for the beginning of the log.
    pub next: i64,
    /// The bounds of the partition's log; `None` when the partition does not exist.
    pub log: Option<Bounds>,
}

/// The reason why a service cannot continue to read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The partition does not exist: the topic was deleted.
    Missing,
    /// The log ends before the position: the topic was deleted and recreated.
    Recreated,
}

impl Position {
    /// The number of offsets that the service has still to read; all offsets when the position is beyond the log.
    pub fn lag(&self) -> i64 {
        let from = |log: Bounds| if self.next > log.end { log.start } else { self.next.max(log.start) };
        self.log.map_or(0, |log| log.end - from(log))
    }

    pub fn obstacle(&self) -> Option<Obstacle> {
        match self.log {
            None => Some(Obstacle::Missing),
            Some(log) if self.next > log.end => Some(Obstacle::Recreated),
            Some(_) => None,
        }
    }
}

impl Obstacle {
    /// Returns what happened to the topic, and the command of the service that helps.
    pub fn explain(self, service: &str, topic: &str) -> (&'static str, String) {
        match self {
            Self::Missing => ("does not exist", format!("{service} migrate")),
            Self::Recreated => {
                ("was deleted and recreated", format!("{service} rewind {topic} --to beginning"))
            }
        }
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Look {
    /// One description per part of the backlog; empty when the service is idle.
    pub waiting: Vec<String>,
    /// The sum of the end offsets of all consumed partitions: equal sums mean that no record was added in between.
    pub ends: i64,
}

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
        let (lag, Position { topic, partition, log, .. }) = (position.lag(), &position);
        look.ends += log.map_or(0, |log| log.end);
        if let Some(obstacle) = position.obstacle() {
            let (what, _) = obstacle.explain(service, topic);
            look.waiting.push(format!("{service}: {topic} [{partition}] {what}"));
        } else if lag > 0 {
            look.waiting.push(format!("{service}: lag {lag} on {topic} [{partition}]"));
        }
    }
    Ok(look)
}

/// Returns the topics that a service has read, without the system's prefix.
pub async fn topics(database_url: &str) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect(database_url).await?;
    let topics =
        sqlx::query_scalar("SELECT DISTINCT topic FROM broker.positions").fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(topics)
}

/// Returns the position of a service in each of its partitions, with the bounds of the partition's log.
pub async fn positions(database_url: &str, brokers: &str, topic_prefix: &str) -> Result<Vec<Position>> {
    let mut connection = PgConnection::connect(database_url).await?;
    let rows = sqlx::query_as(
        "SELECT topic, partition, next_offset FROM broker.positions ORDER BY topic, partition",
    );
    let rows: Vec<(String, i32, i64)> = rows.fetch_all(&mut connection).await?;
    connection.close().await?;
    let wanted: Vec<(String, i32)> =
        rows.iter().map(|(topic, partition, _)| (format!("{topic_prefix}{topic}"), *partition)).collect();
    let logs = topics::bounds(brokers, &wanted).await?;
    let position = |((topic, partition, next), log)| Position { topic, partition, next, log };
    Ok(rows.into_iter().zip(logs).map(position).collect())
}

#[cfg(test)]
mod tests {
    use super::{Obstacle, Position};
    use crate::topics::Bounds;

    #[test]
    fn a_lag_is_never_negative_and_a_position_beyond_the_log_is_an_obstacle() {
        let at = |next, log: Option<(i64, i64)>| {
            let log = log.map(|(start, end)| Bounds { start, end });
            let position = Position { topic: "orders".to_owned(), partition: 0, next, log };
            (position.lag(), position.obstacle())
        };
        assert_eq!(at(7, Some((5, 9))), (2, None));
        assert_eq!(at(-2, Some((5, 9))), (4, None), "the beginning of the log");
        assert_eq!(at(9, Some((5, 9))), (0, None));
        assert_eq!(at(12, Some((0, 3))), (3, Some(Obstacle::Recreated)));
        assert_eq!(at(12, Some((0, 0))), (0, Some(Obstacle::Recreated)));
        assert_eq!(at(12, None), (0, Some(Obstacle::Missing)));
    }
}
