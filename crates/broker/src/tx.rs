//! The transactional outbox: a database transaction that publishes events.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use envelope::{Cleanup, Event, Sequence};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};
use uuid::Uuid;

use crate::generation::{self, Lineage};
use crate::outbox::{AppendError, Appends, Cause, Row};
use crate::settings::Settings;

/// A service's outbox, which begins transactions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    settings: Settings,
    source: String,
    /// Read once: `SERVICE restored`, which raises the generation, runs only while the service is stopped.
    lineage: OnceCell<Lineage>,
    /// The number of waiting rows, as last counted by the relay.
    depth: AtomicI64,
    wake: Notify,
}

impl Outbox {
    /// Returns the outbox in the database of `pool`.
    pub fn new(pool: PgPool, settings: &Settings) -> Self {
        Self(Arc::new(Inner {
            pool,
            source: envelope::source(&settings.service),
            settings: settings.clone(),
            lineage: OnceCell::new(),
            depth: AtomicI64::new(0),
            wake: Notify::new(),
        }))
    }

    /// Begins a transaction that can append events.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        let mut transaction = self.0.pool.begin().await?;
        let lineage = self.0.lineage.get_or_try_init(|| generation::read(&mut transaction)).await?;
        let appends = Appends::new(self.0.source.clone(), *lineage, OffsetDateTime::now_utc());
        Ok(Tx { transaction, appends, after_commit: Vec::new(), outbox: self.clone() })
    }

    /// Returns the database, for queries that need no transaction.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Returns whether more rows wait than the limit allows. The service should refuse new work until Kafka has caught up.
    pub fn is_full(&self) -> bool {
        self.0.depth.load(Ordering::Relaxed) > self.0.settings.outbox_limit
    }

    /// Counts the waiting rows for [`is_full`](Self::is_full). A running relay counts them every second; a command without
    /// a relay calls this.
    pub async fn count_rows(&self) -> sqlx::Result<()> {
        self.measure().await.map(drop)
    }

    /// Counts the waiting rows, sets the gauges, and returns the id of the oldest row.
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pub(crate) async fn measure(&self) -> sqlx::Result<Option<i64>> {
        let row = sqlx::query!(
            r#"
        SELECT (SELECT count(*) FROM (SELECT FROM broker.outbox LIMIT $1) AS waiting) AS "depth!",
               coalesce(extract(epoch FROM clock_timestamp() - oldest.created_at)::double precision, 0) AS "age!",
               oldest.id AS "oldest?"
        FROM (VALUES (1)) AS one
        LEFT JOIN (SELECT id, created_at FROM broker.outbox ORDER BY id LIMIT 1) AS oldest ON true
        "#,
            self.0.settings.outbox_limit + 1,
        )
        .fetch_one(self.pool())
        .await?;
        self.0.depth.store(row.depth, Ordering::Relaxed);
        metrics::gauge!("outbox_depth").set(row.depth as f64);
        metrics::gauge!("outbox_age_seconds").set(row.age.max(0.0));
        Ok(row.oldest)
    }

    /// Returns the settings of the service.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the lineage of the database as it was when it was first read.
    pub async fn lineage(&self) -> sqlx::Result<Lineage> {
        if let Some(lineage) = self.0.lineage.get() {
            return Ok(*lineage);
        }
        let mut connection = self.0.pool.acquire().await?;
        self.0.lineage.get_or_try_init(|| generation::read(&mut connection)).await.copied()
    }

    /// Returns the change when the database was restored since [`lineage`](Self::lineage) was read, or is being restored
    /// now. The process must not use it then.
    pub async fn lineage_changed(&self) -> sqlx::Result<Option<String>> {
        generation::changed(self.pool(), self.lineage().await?.generation).await
    }

    /// Waits until a transaction with events is committed in this process.
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }
}

/// A database transaction whose events are published if, and only if, it commits.
///
/// It is the only way to append events. [`commit`](Self::commit) writes them in one statement just before the commit and
/// wakes the relay just after it. Dropping the transaction rolls everything back.
pub struct Tx {
    transaction: Transaction<'static, Postgres>,
    appends: Appends,
    after_commit: Vec<AfterCommit>,
    outbox: Outbox,
}

type AfterCommit = Box<dyn FnOnce() + Send>;

impl Tx {
    /// Appends `event`, the `sequence`-th of its topic and key (see [`Incoming::append`](crate::Incoming::append)), and returns
    /// its id.
    pub fn append<E: Event>(
        &mut self,
        cause: Cause,
        sequence: Sequence,
        event: &E,
    ) -> Result<Uuid, AppendError> {
        self.appends.caused_by(cause);
        self.appends.append(sequence, event)
    }

    /// Appends an event that was published before, with the `sequence` and the time that it had then.
    pub fn append_again<E: Event>(
        &mut self,
        cause: Cause,
        sequence: Sequence,
        at: OffsetDateTime,
        event: &E,
    ) -> Result<Uuid, AppendError> {
        let now = self.appends.set_time(at);
        let appended = self.append(cause, sequence, event);
        self.appends.set_time(now);
        appended
    }

    /// Appends the current states of a compacted topic's aggregates, each under its new version, and returns the last key.
    pub fn append_states<E: Event>(
        &mut self,
        states: &[(Sequence, E)],
    ) -> Result<Option<String>, AppendError> {
        for (version, state) in states {
            self.append(Cause::default(), *version, state)?;
        }
        Ok(states.last().map(|(_, state)| state.key()))
    }

    /// Deletes the events of `key` on the compacted topic of `E` that wait in the outbox, because the state that this
    /// transaction appends replaces them. Their data is gone with the commit. The order of the key holds: a relay that has
    /// one of them in flight publishes it before the new state, or publishes the key's state once more after it
    /// ([`Compacted`](crate::Compacted)).
    pub async fn withdraw<E: Event>(&mut self, key: &str) -> sqlx::Result<()> {
        const { assert!(matches!(E::TOPIC.cleanup, Cleanup::Compact), "a key of this topic may not have gaps") };
        let (topic, key) = (E::TOPIC.name, key.as_bytes());
        sqlx::query!("DELETE FROM broker.outbox WHERE topic = $1 AND key = $2", topic, key)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Registers an action for after the commit, such as waking a worker or writing a log line. A crash may lose it.
    pub fn on_commit(&mut self, action: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(action));
    }

    /// Commits the transaction with its events.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        let rows = std::mem::take(&mut self.appends.rows);
        let has_events = !rows.is_empty();
        if has_events {
            insert(&mut self.transaction, rows).await?;
        }
        self.transaction.commit().await?;
        if has_events {
            self.outbox.0.wake.notify_one();
        }
        self.after_commit.into_iter().for_each(|action| action());
        Ok(())
    }

    /// Returns the number of events appended so far.
    pub fn event_count(&self) -> usize {
        self.appends.rows.len()
    }

    /// Drops the events appended so far and the actions for after the commit: the caller applies events that were
    /// published before.
    pub fn discard_events(&mut self) {
        self.appends.rows.clear();
        self.after_commit.clear();
    }

    pub(crate) fn appends(&mut self) -> &mut Appends {
        &mut self.appends
    }

    /// Adds a row that is not an event of this service: a dead letter.
    pub(crate) fn push(&mut self, row: Row) {
        self.appends.rows.push(row);
    }
}

async fn insert(connection: &mut PgConnection, rows: Vec<Row>) -> sqlx::Result<()> {
    let (mut topics, mut keys, mut values, mut headers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        headers.push(serde_json::to_string(&row.headers).map_err(|error| sqlx::Error::Encode(error.into()))?);
        topics.push(row.topic);
        keys.push(row.key);
        values.push(row.value);
    }
    // Ids rise in the order of the appends: the relay keeps that order within a key.
    sqlx::query!(
        r#"
        INSERT INTO broker.outbox (topic, key, value, headers)
        SELECT topic, key, value, headers::json
        FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[])
             WITH ORDINALITY AS appended (topic, key, value, headers, position)
        ORDER BY position
        "#,
        &topics,
        &keys as &[Option<Vec<u8>>],
        &values as &[Option<Vec<u8>>],
        &headers,
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
