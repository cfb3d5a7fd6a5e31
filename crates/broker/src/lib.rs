//! Events between services on Kafka and Postgres: a transactional outbox, a relay, and a consumer whose effects happen exactly
//! once and in the order of each key.
//!
//! - A transaction appends events to the outbox and commits them with its changes ([`Outbox`], [`Tx`]).
//! - The relay sends the next event of a key only after the one before is acknowledged and deleted ([`Relay`]).
//! - The consumer keeps its position in the service's database and advances it with the effects ([`Consumer`]).
//! - A handler recognises a repetition by the event's sequence ([`Handler`]).
//!
//! The crate knows no event of any system. README.md shows all that a service writes. The [`maintenance`] module is the public
//! surface for tools that repair a service's data, such as the crate `broker-ops`.

// The example's modules, which the unit tests share, refer to the crate by its name.
#[cfg(test)]
extern crate self as broker;

mod assignment;
pub mod columns;
mod compacted;
mod consumer;
mod dead_letter;
mod failure;
mod generation;
mod handler;
mod kafka;
mod lease;
mod logs;
mod metrics;
mod origin;
mod outbox;
mod pace;
mod parts;
mod pause;
mod policy;
mod positions;
mod producer;
mod reader;
mod record;
mod relay;
mod settings;
mod stale_client;
mod topics;
mod trace;
mod tx;

pub use compacted::{Compacted, Keys};
pub use consumer::{Consumer, ConsumerError, ConsumerStatus};
pub use failure::{Failure, Rejected};
pub use handler::{Handler, Incoming, Received, Subscription};
pub use kafka::KafkaError;
pub use metrics::describe_metrics;
pub use outbox::{AppendError, Cause, MAX_DEAD_LETTER_BYTES, MAX_EVENT_BYTES, MAX_RECORD_BYTES};
pub use pace::Pace;
pub use policy::{Pauses, Policy};
pub use relay::{Relay, RelayStatus};
pub use settings::Settings;
pub use topics::TopicsError;
pub use tx::{Outbox, Tx};

/// Access for tools that repair or show a service's data: a client for topics and logs, stored positions, dead letters, and
/// applying single records.
///
/// A service itself needs nothing of it. The client is that of `rdkafka`.
pub mod maintenance {
    pub use crate::dead_letter::DeadLetter;
    pub use crate::generation::{Lineage, explain_older_database};
    pub use crate::handler::{Batch, Guard, Handled, Outcome};
    pub use crate::kafka::missing_right;
    pub use crate::lease::Lease;
    pub use crate::logs::{Logs, bounds, known_offsets, offset_list, offsets};
    pub use crate::parts::Parts;
    pub use crate::positions::{BEGINNING, StoredPosition, select as stored_positions};
    pub use crate::reader::{Reader, blocking};
    pub use crate::record::{HeaderList, HeaderValue, Partition, Record, Timestamp};
    pub use crate::topics::{Replicas, verify as verify_topics};
}

/// The migrations of the crate's own tables; run them before the service's migrations.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
