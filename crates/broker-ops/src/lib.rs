//! Operations on services that use the [`broker`] crate: what an operator's commands and a careful start need, and the
//! message path itself does not.
//!
//! | module | operation |
//! |---|---|
//! | [`topics`] | creates topics, corrects settings that drifted, and reports what the cluster does not apply |
//! | [`acls`] | tells which rights a service needs at Kafka |
//! | [`rewind()`] | moves the position of a consumer |
//! | [`redrive()`] | handles dead letters again, or discards them |
//! | `republish_…` | publishes the state of compacted topics, or lost events, again |
//! | [`reconcile()`] | finds events that a service waits for and has skipped, and applies them |
//! | `…_history`, [`restore()`] | notices a database that was restored from an older copy, and repairs it |
//! | [`CaughtUp`] | tells whether a topic has been read as far as it went a moment ago |
//! | [`Tail`], [`LogReader`] | read topics and the offsets of their logs without a group |
//!
//! It uses the public API of `broker`: settings, outbox, transactions, subscriptions, and [`broker::maintenance`]. It reads and
//! writes the broker's tables `positions`, `dead_letters`, `republishes`, `outbox` and `generation`.

pub mod acls;
mod apply;
mod caught_up;
mod error;
mod history;
mod logs;
mod reconcile;
mod redrive;
mod republish;
mod rewind;
mod scan;
pub mod topics;

pub use caught_up::CaughtUp;
pub use error::OpsError;
pub use history::{
    DatabaseAge, DatabaseReplaced, Forwarded, HistoryError, HistorySource, RestoreOptions, RestoreStep,
    restore, watch_history,
};
pub use logs::LogReader;
pub use reconcile::{Answer, Awaited, Finding, Place, Waiting, Waits, reconcile};
pub use redrive::{DeadLetterFilter, Redrive, Redriven, Report, redrive};
pub use republish::{
    History, Past, Rebuild, Rebuilt, Republished, Selection, UuidPage, republish_all, republish_daily,
    republish_history, republish_keys,
};
pub use rewind::{RewindTo, Rewound, rewind};
pub use scan::{Start, Tail};
