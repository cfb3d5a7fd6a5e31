//! Whether the database knows all that this service has published and read; and how one that does not is repaired.
//!
//! A database that was restored from an older copy, or failed over to a replica that lagged, counts on from older versions
//! and older positions. What it published would be dropped by its readers as repeated, and what it decides would contradict
//! what it decided before. Three things outside of it remember better: the topics that the service owns, Kafka's committed
//! offsets of its group, and the positions of a running process. Nothing is published, read or worked on before
//! [`watch_history`] has compared them; [`restore`] rolls the database forward from what was published, and raises its
//! generation (`envelope::Generation`).

mod check;
mod fork;
mod forward;
mod log;
mod restore;

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::check::explain;
pub use self::check::{HistoryFinding, HistorySource, check_history};
pub use self::restore::{Forwarded, RestoreOptions, RestoreStep, restore};
use crate::failure::Failure;

const AGAIN: Duration = Duration::from_millis(250);
/// After this long without an answer it is logged. A Kafka that has just started takes a moment to name the group's coordinator.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the finding is logged while nothing is done about it.
const REMIND: Duration = Duration::from_mins(10);

/// The age of a database, compared with what its service has published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DatabaseAge {
    /// Kafka or the database has not answered yet.
    #[default]
    Unknown,
    /// The database knows what was published and read.
    Sound,
    /// It does not, and why that is known; with the command that repairs it.
    Older(String),
}

/// Why the history cannot be checked or repaired.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Kafka does not answer.
    #[error("Kafka does not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// The database does not answer, or cannot do what a fold needs.
    #[error("{0}")]
    Database(#[from] Failure),
    /// Another instance of the service runs on this database.
    #[error(
        "an instance of {service} is running on this database: it holds the relay's lease. Stop every instance of \
         {service}, and run the command again"
    )]
    Running {
        /// The service.
        service: String,
    },
}

impl From<sqlx::Error> for HistoryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Checks the history until there is an answer, and shows it in `history`; an older database is logged, and again every ten
/// minutes until `stop`.
pub async fn watch_history(
    source: HistorySource,
    history: watch::Sender<DatabaseAge>,
    stop: CancellationToken,
) {
    let (since, mut told) = (Instant::now(), false);
    let finding = loop {
        let Some(checked) = stop.run_until_cancelled(check_history(&source)).await else { return };
        match checked {
            Ok(None) => {
                history.send_replace(DatabaseAge::Sound);
                return;
            }
            Ok(Some(HistoryFinding::ReadMore(finding))) => {
                tracing::error!("{finding}");
                history.send_replace(DatabaseAge::Sound);
                return;
            }
            Ok(Some(HistoryFinding::Older(finding))) => break finding,
            Err(error) if !told && since.elapsed() > PATIENCE => {
                told = true;
                tracing::warn!(
                    "nothing is published or read before it is known whether the database is older than what was \
                     published: {error}"
                );
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    };
    history.send_replace(DatabaseAge::Older(finding.clone()));
    loop {
        tracing::error!("{finding}");
        if stop.run_until_cancelled(tokio::time::sleep(REMIND)).await.is_none() {
            return;
        }
    }
}
