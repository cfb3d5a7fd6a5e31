//! Repairs a database that is older than what its service has published: applies the events of the service's own topics,
//! raises the generation, and publishes the state of the compacted topics again.
//!
//! It can be killed at any moment and run again: applying events twice changes nothing, a generation that is raised twice is
//! only higher, and no service starts before the last step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::maintenance::{BEGINNING, Lease, Lineage, Outcome, Partition, Record};
use broker::{Compacted, Failure, KafkaError, Outbox, Subscription, Tx};
use envelope::{Generation, Topic};
use sqlx::{Executor as _, PgConnection, PgPool};

use super::source::{HistoryError, HistorySource, Log};
use super::waiting::WaitingEvents;
use crate::apply;
use crate::logs::LogReader;
use crate::republish::append_all;
use crate::scan::Start;

/// How long the lease of a relay that was just stopped or killed may still run.
const LEASE_TRIES: u32 = 12;
const LEASE_PAUSE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The progress is reported after this many records.
const PROGRESS: u64 = 50_000;
/// The number of keys that are published again in one transaction.
const KEYS: i64 = 500;

/// A step of a repair, to be shown.
#[derive(Debug)]
pub enum RestoreStep {
    /// This many records of a topic are read.
    Reading {
        /// The topic.
        topic: Topic,
        /// The number of records.
        records: u64,
    },
    /// A topic is read to its end.
    Forwarded(Forwarded),
    /// The outbox of the copy is compared with the topics. Events that were published before are deleted; the others are
    /// published under the new generation.
    Outbox {
        /// The number of deleted events.
        published: u64,
        /// The number of waiting events.
        waiting: u64,
    },
    /// The generation is raised to this one.
    Raised(Generation),
    /// The state of a compacted topic is appended again.
    Republished {
        /// The topic.
        topic: Topic,
        /// The number of keys.
        keys: u64,
    },
}

/// The events of one topic that the database did not have.
#[derive(Debug)]
pub struct Forwarded {
    /// The topic.
    pub topic: Topic,
    /// The number of records read.
    pub records: u64,
    /// The events that the database did not have, counted by type.
    pub lacked: BTreeMap<String, u64>,
    /// The events that could not be applied, counted by cause.
    pub refused: BTreeMap<String, u64>,
    /// The number of records left out, because this service did not publish them, or did so before its database had a key.
    pub foreign: u64,
}

/// The options of a repair.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// Only read and count.
    pub dry_run: bool,
    /// Apply all events of the service's own topics, not only those that the database recognises: the database is a new one,
    /// or a copy from before it had a key.
    pub unverified: bool,
}

/// Repairs the database. Calls `report` with each step.
pub async fn restore(
    source: &HistorySource,
    compacted: &[Arc<dyn Compacted>],
    options: RestoreOptions,
    mut report: impl FnMut(RestoreStep),
) -> Result<(), HistoryError> {
    let pool = source.outbox.pool();
    let mut lease = Lease::new(Lease::RELAY, None);
    let RestoreOptions { dry_run, unverified } = options;
    let lineage = if unverified { None } else { Some(source.outbox.lineage().await?) };
    if !dry_run {
        take_lease(&mut lease, source).await?;
        begin(pool).await?;
    }
    let topics = source.own.iter().map(|own| own.topic().name.to_owned()).collect();
    let mut waiting = WaitingEvents::select(pool, topics).await?;
    for own in &source.own {
        let forwarded =
            roll_forward(source, own, dry_run, lineage, &mut lease, &mut waiting, &mut report).await?;
        report(RestoreStep::Forwarded(forwarded));
    }
    let (published, still_waiting) = waiting.counts();
    report(RestoreStep::Outbox { published, waiting: still_waiting });
    if dry_run {
        return Ok(());
    }
    report(RestoreStep::Raised(raise_generation(source, &waiting).await?));
    // A new outbox: the source's has read the generation before it was raised.
    let outbox = Outbox::new(pool.clone(), &source.settings);
    for owner in compacted {
        keep_lease(&mut lease, source).await?;
        // It appends even when the outbox is full: no relay empties it before the repair has ended.
        let keys = append_all(&outbox, owner.as_ref(), KEYS, async |_| keep_lease(&mut lease, source).await);
        let keys = keys.await?;
        report(RestoreStep::Republished { topic: owner.topic(), keys });
    }
    sqlx::query!("UPDATE broker.generation SET restoring_since = NULL").execute(pool).await?;
    Ok(lease.release(pool).await?)
}

/// Takes the relay's lease, so that no instance publishes meanwhile.
async fn take_lease(lease: &mut Lease, source: &HistorySource) -> Result<(), HistoryError> {
    for _ in 0..LEASE_TRIES {
        if lease.hold(source.outbox.pool()).await? {
            return Ok(());
        }
        tokio::time::sleep(LEASE_PAUSE).await;
    }
    Err(HistoryError::Running { service: source.settings.service.clone() })
}

/// Renews the lease; fails when an instance of the service, which stood still before, has taken it.
async fn keep_lease(lease: &mut Lease, source: &HistorySource) -> Result<(), HistoryError> {
    if lease.hold(source.outbox.pool()).await? {
        return Ok(());
    }
    Err(HistoryError::Running { service: source.settings.service.clone() })
}

async fn roll_forward(
    source: &HistorySource,
    own: &Subscription,
    dry_run: bool,
    lineage: Option<Lineage>,
    lease: &mut Lease,
    waiting: &mut WaitingEvents,
    report: &mut impl FnMut(RestoreStep),
) -> Result<Forwarded, HistoryError> {
    let topic = own.topic();
    let mut forwarded =
        Forwarded { topic, records: 0, lacked: BTreeMap::new(), refused: BTreeMap::new(), foreign: 0 };
    let mut log = Log::open(&source.settings, topic, Start::Beginning, lineage).await?;
    // A dry run applies everything in one transaction, which is rolled back: later events need the earlier ones.
    let mut dry = if dry_run { Some(begin_dry(&source.outbox).await?) } else { None };
    while let Some(mut records) = log.next().await? {
        forwarded.foreign = log.foreign;
        waiting.note_published(&records);
        let outcomes = if let Some(tx) = &mut dry {
            apply::forward(tx, own, &mut records).await?
        } else {
            keep_lease(lease, source).await?;
            apply_and_commit(&source.outbox, own, &mut records).await?
        };
        let reported = forwarded.records / PROGRESS;
        forwarded.count(&records, outcomes);
        if forwarded.records / PROGRESS > reported {
            report(RestoreStep::Reading { topic, records: forwarded.records });
        }
    }
    Ok(forwarded)
}

async fn apply_and_commit(
    outbox: &Outbox,
    own: &Subscription,
    records: &mut [Record],
) -> Result<Vec<Outcome>, Failure> {
    let mut tx = outbox.begin().await?;
    let outcomes = apply::forward(&mut tx, own, records).await?;
    tx.commit().await?;
    Ok(outcomes)
}

/// Begins a transaction that may wait for Kafka between its statements.
async fn begin_dry(outbox: &Outbox) -> sqlx::Result<Tx> {
    let mut tx = outbox.begin().await?;
    tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    Ok(tx)
}

impl Forwarded {
    fn count(&mut self, records: &[Record], outcomes: Vec<Outcome>) {
        self.records += records.len() as u64;
        for (record, outcome) in records.iter().zip(outcomes) {
            let (counts, name) = match outcome {
                Outcome::Applied => (&mut self.lacked, record.ce_type().unwrap_or_default().to_owned()),
                Outcome::Dead(cause) => (&mut self.refused, cause),
                Outcome::Repeated | Outcome::Skipped => continue,
            };
            *counts.entry(name).or_default() += 1;
        }
    }
}

/// Stores that a repair has begun: until it ends, no service starts on this database.
async fn begin(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("UPDATE broker.generation SET restoring_since = coalesce(restoring_since, now())")
        .execute(pool)
        .await?;
    Ok(())
}

/// Raises the generation. The same transaction gives it to the events that wait in the outbox, and marks the positions as
/// lower on purpose.
async fn raise_generation(
    source: &HistorySource,
    waiting: &WaitingEvents,
) -> Result<Generation, HistoryError> {
    let ends = ends(source).await?;
    let mut tx = source.outbox.pool().begin().await?;
    let raised = sqlx::query_scalar!(
        "UPDATE broker.generation SET generation = generation + 1, raised_at = now() RETURNING generation"
    );
    let generation = Generation::from_i32(raised.fetch_one(&mut *tx).await?)
        .ok_or_else(|| sqlx::Error::Decode("the generation is out of range".into()))?;
    waiting.renew(&mut tx, generation).await?;
    mark_rewound(&mut tx, &ends).await?;
    tx.commit().await?;
    Ok(generation)
}

/// Marks positions as lower than `highest` on purpose.
async fn mark_rewound(connection: &mut PgConnection, highest: &BTreeMap<Partition, i64>) -> sqlx::Result<()> {
    let (topics, numbers): (Vec<_>, Vec<_>) = highest.keys().cloned().unzip();
    let offsets: Vec<i64> = highest.values().copied().collect();
    sqlx::query!(
        "INSERT INTO broker.positions AS held (topic, partition, next_offset, rewound_from)
         SELECT topic, partition, $4, highest
         FROM unnest($1::text[], $2::int[], $3::bigint[]) AS noted (topic, partition, highest)
         ORDER BY topic, partition
         ON CONFLICT (topic, partition) DO UPDATE SET
             rewound_from = greatest(held.rewound_from, excluded.rewound_from)",
        &topics,
        &numbers,
        &offsets,
        BEGINNING,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the ends of the logs that the service reads, or the committed offsets where a log lost its end. No position was
/// ever higher.
async fn ends(source: &HistorySource) -> Result<BTreeMap<Partition, i64>, KafkaError> {
    let reader = LogReader::new(&source.settings, TIMEOUT)?;
    let mut ends = BTreeMap::new();
    for topic in &source.followed {
        let logs = reader.bounds(topic.name).await?.unwrap_or_default();
        ends.extend(logs.into_iter().map(|(partition, log)| (partition, log.end)));
    }
    for (partition, offset) in reader.committed(&source.followed).await? {
        let end = ends.entry(partition).or_insert(offset);
        *end = offset.max(*end);
    }
    Ok(ends)
}
