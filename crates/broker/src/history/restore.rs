//! Repairs a database that is older than what was published: rolls it forward from the service's own topics, raises its
//! generation, and publishes the state of the compacted topics again.
//!
//! Killed at any moment it can be run again: rolling forward changes nothing twice, a generation that is raised twice is
//! only higher, and no service starts before the last step.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use envelope::{Generation, Topic};
use rdkafka::error::KafkaError;
use sqlx::Executor as _;

use super::log::Log;
use super::{HistoryError, HistorySource, check, forward};
use crate::failure::Failure;
use crate::handler::{Outcome, Subscription};
use crate::lease::Lease;
use crate::logs;
use crate::origin::OriginKey;
use crate::record::Record;
use crate::republish::{Compacted, Keys};
use crate::scan::Start;
use crate::tx::{Outbox, Tx};
use crate::{generation, kafka, positions};

/// How long the lease of a relay that was just stopped or killed may still run.
const LEASE_TRIES: u32 = 12;
const LEASE_PAUSE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);
/// After so many records the progress is shown.
const PROGRESS: u64 = 50_000;
/// Keys that are published again in one transaction.
const KEYS: i64 = 500;

/// A step of a repair, to be shown.
#[derive(Debug)]
pub enum RestoreStep {
    /// So many records of the topic are read.
    Reading {
        /// The topic.
        topic: Topic,
        /// How many.
        records: u64,
    },
    /// A topic is read to its end.
    Forwarded(Forwarded),
    /// Events of the copy's outbox that were published before were deleted; the others are published under the new
    /// generation.
    Outbox {
        /// How many were deleted.
        published: u64,
        /// How many wait.
        waiting: u64,
    },
    /// The generation is raised to this.
    Raised(Generation),
    /// So many keys of the compacted topic are appended again.
    Republished {
        /// The topic.
        topic: Topic,
        /// How many.
        keys: u64,
    },
}

/// What the database lacked of one topic that the service owns.
#[derive(Debug)]
pub struct Forwarded {
    /// The topic.
    pub topic: Topic,
    /// How many records were read.
    pub records: u64,
    /// The events that the database lacked, counted by type.
    pub lacked: BTreeMap<String, u64>,
    /// The events that could not be applied, counted by cause.
    pub refused: BTreeMap<String, u64>,
    /// Records that were left out: this service did not publish them, or did so before its database had a key.
    pub foreign: u64,
}

/// How to repair.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// Only read and count.
    pub dry_run: bool,
    /// Take all events of the service's own topics for its own, not only those that the database recognises: it is a new
    /// one, or a copy from before it had a key.
    pub unverified: bool,
}

/// Repairs the database. `tell` is called with each step.
pub async fn restore(
    source: &HistorySource,
    compacted: &[Arc<dyn Compacted>],
    options: RestoreOptions,
    mut tell: impl FnMut(RestoreStep),
) -> Result<(), HistoryError> {
    let pool = source.outbox.pool();
    let mut lease = Lease::new("relay", None);
    let RestoreOptions { dry_run, unverified } = options;
    let origin = if unverified { None } else { Some(source.outbox.lineage().await?.key) };
    if !dry_run {
        take(&mut lease, source).await?;
        generation::begin_restore(pool).await?;
    }
    let mut waiting = Waiting::select(source).await?;
    for own in &source.own {
        let forwarded =
            roll_forward(source, own, dry_run, origin, &mut lease, &mut waiting, &mut tell).await?;
        tell(RestoreStep::Forwarded(forwarded));
    }
    tell(RestoreStep::Outbox {
        published: waiting.published.len() as u64,
        waiting: waiting.ids.len() as u64,
    });
    if dry_run {
        return Ok(());
    }
    let generation = raise(source, &waiting).await?;
    tell(RestoreStep::Raised(generation));
    // An outbox of its own: the source's has read the generation before.
    let outbox = Outbox::new(pool.clone(), &source.settings);
    for owner in compacted {
        let keys = republish(&outbox, owner.as_ref(), &mut lease).await?;
        tell(RestoreStep::Republished { topic: owner.topic(), keys });
    }
    generation::end_restore(pool).await?;
    Ok(lease.release(pool).await?)
}

/// Takes the relay's lease, so that no instance publishes meanwhile.
async fn take(lease: &mut Lease, source: &HistorySource) -> Result<(), HistoryError> {
    for _ in 0..LEASE_TRIES {
        if lease.hold(source.outbox.pool()).await? {
            return Ok(());
        }
        tokio::time::sleep(LEASE_PAUSE).await;
    }
    Err(HistoryError::Running { service: source.settings.service.clone() })
}

async fn roll_forward(
    source: &HistorySource,
    own: &Subscription,
    dry_run: bool,
    origin: Option<OriginKey>,
    lease: &mut Lease,
    waiting: &mut Waiting,
    tell: &mut impl FnMut(RestoreStep),
) -> Result<Forwarded, HistoryError> {
    let topic = own.topic();
    let mut forwarded =
        Forwarded { topic, records: 0, lacked: BTreeMap::new(), refused: BTreeMap::new(), foreign: 0 };
    let mut log = Log::open(&source.settings, topic, Start::Beginning, origin).await?;
    // A dry run applies everything in one transaction, which is rolled back: later events need the earlier ones.
    let mut dry = if dry_run { Some(begin_dry(&source.outbox).await?) } else { None };
    while let Some(open) = log.take() {
        let Some((rest, mut records)) = open.next().await? else { break };
        forwarded.foreign = rest.foreign();
        log = Some(rest);
        waiting.were_published(&records);
        let results = if let Some(tx) = &mut dry {
            forward::apply(tx, own, &mut records).await?
        } else {
            lease.hold(source.outbox.pool()).await?;
            apply_for_good(&source.outbox, own, &mut records).await?
        };
        let shown = forwarded.records / PROGRESS;
        forwarded.count(&records, results);
        if forwarded.records / PROGRESS > shown {
            tell(RestoreStep::Reading { topic, records: forwarded.records });
        }
    }
    Ok(forwarded)
}

type Results = Vec<(Outcome, Option<String>)>;

async fn apply_for_good(
    outbox: &Outbox,
    own: &Subscription,
    records: &mut [Record],
) -> Result<Results, Failure> {
    let mut tx = outbox.begin().await?;
    let results = forward::apply(&mut tx, own, records).await?;
    tx.commit().await?;
    Ok(results)
}

/// A transaction that waits for Kafka between its statements.
async fn begin_dry(outbox: &Outbox) -> sqlx::Result<Tx> {
    let mut tx = outbox.begin().await?;
    tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    Ok(tx)
}

impl Forwarded {
    fn count(&mut self, records: &[Record], results: Results) {
        self.records += records.len() as u64;
        for (record, (outcome, cause)) in records.iter().zip(results) {
            let (counts, name) = match (outcome, cause) {
                (Outcome::Applied, _) => (&mut self.lacked, record.ce_type().unwrap_or_default().to_owned()),
                (_, Some(cause)) => (&mut self.refused, cause),
                _ => continue,
            };
            *counts.entry(name).or_default() += 1;
        }
    }
}

/// The rows of the copy's outbox that hold events, by the events' ids.
struct Waiting {
    ids: HashMap<String, i64>,
    /// The rows whose events are in the log.
    published: HashSet<i64>,
}

impl Waiting {
    async fn select(source: &HistorySource) -> sqlx::Result<Self> {
        let rows = sqlx::query!(
            r#"SELECT id, (SELECT header ->> 1 FROM json_array_elements(headers) AS header
                           WHERE header ->> 0 = 'ce_id') AS "ce_id!"
               FROM broker.outbox WHERE topic = ANY ($1)"#,
            &topics(source),
        );
        let rows = rows.fetch_all(source.outbox.pool()).await?;
        let ids = rows.into_iter().map(|row| (row.ce_id, row.id)).collect();
        Ok(Self { ids, published: HashSet::new() })
    }

    fn were_published(&mut self, records: &[Record]) {
        for record in records {
            let id = record.header(envelope::names::ID).and_then(|id| std::str::from_utf8(id).ok());
            self.published.extend(id.and_then(|id| self.ids.remove(id)));
        }
    }
}

fn topics(source: &HistorySource) -> Vec<String> {
    source.own.iter().map(|own| own.topic().name.to_owned()).collect()
}

/// Raises the generation. In the same transaction the events that wait in the outbox get the new one, and the positions
/// note that they are lower on purpose from now on.
async fn raise(source: &HistorySource, waiting: &Waiting) -> Result<Generation, HistoryError> {
    let ends = ends(source).await?;
    let mut tx = source.outbox.pool().begin().await?;
    let generation = generation::raise(&mut tx).await?;
    let published: Vec<i64> = waiting.published.iter().copied().collect();
    sqlx::query!("DELETE FROM broker.outbox WHERE id = ANY ($1)", &published).execute(&mut *tx).await?;
    sqlx::query!(
        "UPDATE broker.outbox SET headers = ((
             SELECT jsonb_agg(header ORDER BY place)
             FROM jsonb_array_elements(headers::jsonb) WITH ORDINALITY AS old (header, place)
             WHERE header ->> 0 <> 'ce_generation'
         ) || jsonb_build_array(jsonb_build_array('ce_generation', $2::text)))::json
         WHERE topic = ANY ($1)",
        &topics(source),
        generation.to_string(),
    )
    .execute(&mut *tx)
    .await?;
    positions::note_rewound(&mut tx, &ends).await?;
    tx.commit().await?;
    Ok(generation)
}

/// The ends of the logs that the service follows, or the committed offsets where a log lost its end: no position was higher.
async fn ends(source: &HistorySource) -> Result<BTreeMap<positions::Partition, i64>, HistoryError> {
    let (settings, followed) = (source.settings.clone(), source.followed.clone());
    let asked = kafka::blocking(move || {
        let reader = kafka::reader(&settings)?;
        let mut ends = BTreeMap::new();
        for topic in &followed {
            let logs = logs::of_topic(&reader, &settings, topic.name, TIMEOUT)?.unwrap_or_default();
            ends.extend(logs.into_iter().map(|(partition, log)| (partition, log.end)));
        }
        for (partition, offset) in check::committed(&settings, &followed)? {
            let end = ends.entry(partition).or_insert(offset);
            *end = offset.max(*end);
        }
        Ok::<_, KafkaError>(ends)
    });
    Ok(asked.await.ok_or(KafkaError::Canceled)??)
}

/// Appends the state of all keys, also when the outbox is full: no relay empties it before this has ended.
async fn republish(outbox: &Outbox, owner: &dyn Compacted, lease: &mut Lease) -> Result<u64, HistoryError> {
    let (mut after, mut keys): (Option<String>, u64) = (None, 0);
    loop {
        lease.hold(outbox.pool()).await?;
        let mut tx = outbox.begin().await?;
        let last = owner.republish(&mut tx, Keys::After { after: after.as_deref(), limit: KEYS }).await?;
        keys += tx.appends().rows.len() as u64;
        tx.commit().await?;
        let Some(last) = last else { return Ok(keys) };
        after = Some(last);
    }
}
