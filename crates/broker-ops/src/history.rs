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
mod incarnation;
mod restore;
mod source;
mod waiting;

use std::time::{Duration, Instant};

use broker::Settings;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::check::{HistoryFinding, check_history};
use self::incarnation::Incarnation;
pub use self::restore::{Forwarded, RestoreOptions, RestoreStep, restore};
pub use self::source::{HistoryError, HistorySource};

/// The interval of looking whether Postgres has been restarted or the database replaced: one short query.
const LOOK: Duration = Duration::from_secs(1);
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

/// Checks the history, sends the result to `age`, and checks again whenever Postgres was restarted, failed over, or has the
/// database from a copy. A database that is older at the start is logged again every ten minutes until `stop`; one that became
/// older while the process ran is an error, with which the process ends.
pub async fn watch_history(
    source: HistorySource,
    age: watch::Sender<DatabaseAge>,
    stop: CancellationToken,
) -> Result<(), DatabaseReplaced> {
    let watched = async {
        let checked = match first_check(&source).await {
            (incarnation, None) => incarnation,
            (_, Some(finding)) => {
                age.send_replace(DatabaseAge::Older(finding.clone()));
                remind(&finding).await
            }
        };
        age.send_replace(DatabaseAge::Sound);
        Err(DatabaseReplaced(replaced(&source, checked).await))
    };
    stop.run_until_cancelled(watched).await.unwrap_or(Ok(()))
}

/// The database of a running process was replaced by an older one; with the finding, and the command that repairs it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseReplaced(String);

/// Checks the history until there is an answer: the incarnation that was checked, and why it is older, if it is.
async fn first_check(source: &HistorySource) -> (Incarnation, Option<String>) {
    let (since, mut logged) = (Instant::now(), None);
    loop {
        match check(source).await {
            Ok(checked) => return checked,
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
        tokio::time::sleep(AGAIN).await;
    }
}

async fn check(source: &HistorySource) -> Result<(Incarnation, Option<String>), HistoryError> {
    // Read first: a database that is replaced during the check is checked again.
    let incarnation = Incarnation::read(source.outbox.pool()).await?;
    let older = match check_history(source).await? {
        None => None,
        Some(HistoryFinding::ReadMore(finding)) => {
            tracing::error!("{finding}");
            None
        }
        Some(HistoryFinding::Older(finding)) => Some(finding),
    };
    Ok((incarnation, older))
}

/// Checks each new incarnation of the database, and returns the finding that shows one to be older.
async fn replaced(source: &HistorySource, mut checked: Incarnation) -> String {
    loop {
        tokio::time::sleep(LOOK).await;
        // While Postgres or Kafka is away, other parts of the service report that.
        if Incarnation::read(source.outbox.pool()).await.is_ok_and(|now| now != checked)
            && let Ok((incarnation, older)) = check(source).await
        {
            match older {
                Some(finding) => return finding,
                None => checked = incarnation,
            }
        }
    }
}

/// Returns why the history cannot be checked, and what to check.
fn explain(error: &HistoryError, settings: &Settings) -> String {
    match error {
        HistoryError::Kafka(error) => error.explain(settings),
        _ => error.to_string(),
    }
}

/// Logs the finding every ten minutes.
async fn remind(finding: &str) -> ! {
    loop {
        tracing::error!("{finding}");
        tokio::time::sleep(REMIND).await;
    }
}
