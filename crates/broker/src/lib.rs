//! Events between services, on Kafka and Postgres: nothing lost, nothing doubled, order per key.
//!
//! Four ideas carry it: an event is appended inside the caller's transaction ([`Tx`]); the relay sends the next event of
//! a key only after the one before is acknowledged and gone ([`Relay`]); the position of a reader lives in its database
//! and advances with the effects ([`Consumer`]); a repetition is recognised by its sequence ([`Handler`]). The crate knows
//! no event of any shop and can be lifted out: README.md shows it on another system.

// The example's modules, which the tests share, call the crate by its name.
#[cfg(test)]
extern crate self as broker;

mod apply;
mod backoff;
mod caught_up;
mod consumer;
mod dead_letter;
mod failure;
mod generation;
mod handler;
mod history;
mod kafka;
mod lease;
mod logs;
mod metrics;
mod origin;
mod outbox;
pub mod pause;
mod positions;
mod producer;
mod reconcile;
mod record;
mod redrive;
mod relay;
mod republish;
mod rewind;
mod scan;
mod settings;
mod stale_client;
pub mod topics;
mod trace;
mod tx;

pub use caught_up::CaughtUp;
pub use consumer::{Consumer, ConsumerError, ConsumerStatus};
pub use failure::{Failure, Rejected};
pub use handler::{Handler, Incoming, Received, Subscription};
pub use history::{
    DatabaseAge, Forwarded, HistoryError, HistoryFinding, HistorySource, RestoreOptions, RestoreStep,
    check_history, restore, watch_history,
};
pub use metrics::describe_metrics;
pub use outbox::{AppendError, Appends, Cause, MAX_EVENT_BYTES};
pub use reconcile::{Answer, Awaited, Finding, Place, ReconcileError, Waiting, Waits, reconcile};
pub use redrive::{DeadLetterFilter, Redrive, RedriveError, Redriven, Report, redrive};
pub use relay::{Relay, RelayStatus};
pub use republish::{
    Compacted, History, Keys, Page, Past, Rebuild, Rebuilt, Republished, Selection, UuidPage, republish_all,
    republish_daily, republish_history, republish_keys,
};
pub use rewind::{RewindError, RewindTo, Rewound, rewind, rewind_partition};
pub use settings::Settings;
pub use tx::{Outbox, Tx};

/// The crate's own tables; run them before the service's migrations.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
