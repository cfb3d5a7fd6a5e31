//! Notices a database that is older than what its service has published or read, and repairs it.
//!
//! A database that was restored from an older copy, or failed over to a replica that lagged, continues from older versions
//! and older positions. Readers would ignore its events as repetitions, and its decisions would contradict earlier ones.
//! Three things outside the database have a better memory: the topics that the service owns, Kafka's committed offsets of its
//! group, and the positions of a running process. The service publishes, reads and works only after [`watch_history`] has
//! compared them. [`restore`] applies the published events to the database and raises its generation
//! (`envelope::Generation`).

mod check;
mod fork;
mod restore;
mod source;
mod waiting;

use std::time::{Duration, Instant};

use broker::Settings;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::check::{HistoryFinding, check_history};
pub use self::restore::{Forwarded, RestoreOptions, RestoreStep, restore};
pub use self::source::{HistoryError, HistorySource};

const AGAIN: Duration = Duration::from_millis(250);
/// A check without an answer is logged after this time. A Kafka that has just started takes a moment to name the group's
/// coordinator.
const LOG_AFTER: Duration = Duration::from_secs(3);
/// The interval at which an older database is logged until it is repaired.
const REMIND: Duration = Duration::from_mins(10);

/// The age of a database, compared with what its service has published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DatabaseAge {
    /// Kafka or the database has not answered yet.
    #[default]
    Unknown,
    /// The database has everything that was published and read.
    Sound,
    /// The database is older; with the finding that shows it, and the command that repairs it.
    Older(String),
}

/// Checks the history until there is an answer, and sends it to `age`. An older database is logged again every ten minutes
/// until `stop`.
pub async fn watch_history(source: HistorySource, age: watch::Sender<DatabaseAge>, stop: CancellationToken) {
    let (since, mut logged) = (Instant::now(), None);
    let finding = loop {
        let Some(checked) = stop.run_until_cancelled(check_history(&source)).await else { return };
        match checked {
            Ok(None) => {
                age.send_replace(DatabaseAge::Sound);
                return;
            }
            Ok(Some(HistoryFinding::ReadMore(finding))) => {
                tracing::error!("{finding}");
                age.send_replace(DatabaseAge::Sound);
                return;
            }
            Ok(Some(HistoryFinding::Older(finding))) => break finding,
            Err(error) if since.elapsed() > LOG_AFTER => {
                let why = explain(&error, &source.settings);
                if logged.as_ref() != Some(&why) {
                    tracing::warn!(
                        "the service neither publishes nor reads until it has checked that its database is not older than \
                         what it has published: {why}"
                    );
                    logged = Some(why);
                }
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    };
    age.send_replace(DatabaseAge::Older(finding.clone()));
    remind(&finding, &stop).await;
}

/// Returns why the history cannot be checked, and what to check.
fn explain(error: &HistoryError, settings: &Settings) -> String {
    match error {
        HistoryError::Kafka(error) => error.explain(settings),
        _ => error.to_string(),
    }
}

/// Logs the finding every ten minutes until `stop`.
async fn remind(finding: &str, stop: &CancellationToken) {
    loop {
        tracing::error!("{finding}");
        if stop.run_until_cancelled(tokio::time::sleep(REMIND)).await.is_none() {
            return;
        }
    }
}
