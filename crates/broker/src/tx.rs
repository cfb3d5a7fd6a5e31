//! The transactional outbox: a transaction that carries events.

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

/// A service's outbox: where transactions begin. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    settings: Settings,
    source: String,
    /// Read once: whoever raises it stops the service before.
    lineage: OnceCell<Lineage>,
    /// Rows waiting, as last counted by the relay.
    depth: AtomicI64,
    /// Wakes the relay after a commit.
    wake: Notify,
}

impl Outbox {
    /// The outbox in the database of `pool`.
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
        Ok(Tx { transaction, appends, then: Vec::new(), outbox: self.clone() })
    }

    /// The lineage of the database, as it was when it was first asked for.
    pub(crate) async fn lineage(&self) -> sqlx::Result<Lineage> {
        if let Some(lineage) = self.0.lineage.get() {
            return Ok(*lineage);
        }
        let mut connection = self.0.pool.acquire().await?;
        self.0.lineage.get_or_try_init(|| generation::read(&mut connection)).await.copied()
    }

    /// The database, for what needs no transaction.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// More rows wait than the limit allows: refuse new work at the door until Kafka has caught up.
    pub fn is_full(&self) -> bool {
        self.0.depth.load(Ordering::Relaxed) > self.0.settings.outbox_limit
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn set_depth(&self, depth: i64) {
        self.0.depth.store(depth, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> i64 {
        self.0.settings.outbox_limit
    }

    /// Waits until a transaction with events has been committed here.
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }
}

/// A database transaction whose events are published if, and only if, it commits.
///
/// It is the only way to append: events are written in one statement just before the commit, and the relay is woken
/// just after it. Dropped without [`commit`](Self::commit), it leaves nothing behind.
pub struct Tx {
    transaction: Transaction<'static, Postgres>,
    appends: Appends,
    then: Vec<Then>,
    outbox: Outbox,
}

/// What is done once a transaction is committed.
type Then = Box<dyn FnOnce() + Send>;

impl Tx {
    /// Appends `event`, the `sequence`-th of its topic and key (the aggregate's version), and returns its id.
    pub fn append<E: Event>(
        &mut self,
        cause: Cause,
        sequence: Sequence,
        event: &E,
    ) -> Result<Uuid, AppendError> {
        self.appends.caused_by(cause);
        self.appends.append(sequence, event)
    }

    /// Appends `event` under the `sequence` and the time that it had when it was published first.
    pub(crate) fn append_again<E: Event>(
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

    /// Deletes the events of `key` on the compacted topic of `E` that wait in the outbox: the state that this transaction
    /// appends takes their place, and what they say is to be gone with its commit. The order of the key holds: a relay that
    /// has one of them in flight publishes it before what is appended here, or publishes the key's state once more after
    /// it ([`Compacted`](crate::Compacted)).
    pub async fn withdraw<E: Event>(&mut self, key: &str) -> sqlx::Result<()> {
        const { assert!(matches!(E::TOPIC.cleanup, Cleanup::Compact), "a key of this topic may not have gaps") };
        let (topic, key) = (E::TOPIC.name, key.as_bytes());
        sqlx::query!("DELETE FROM broker.outbox WHERE topic = $1 AND key = $2", topic, key)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// What to do once this is committed, and not before: wake a worker, say in the log what happened. It may be lost in
    /// a crash.
    pub fn on_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.then.push(Box::new(then));
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
        self.then.into_iter().for_each(|then| then());
        Ok(())
    }

    /// Drops the events and what was to follow the commit: a fact that was published is not published again.
    pub(crate) fn forget_appends(&mut self) {
        self.appends.rows.clear();
        self.then.clear();
    }

    /// The events so far, for a decision to add to.
    pub(crate) fn appends(&mut self) -> &mut Appends {
        &mut self.appends
    }

    /// Adds a row that is no event of ours: a dead letter.
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
