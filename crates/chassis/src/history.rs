//! Holds a service whose database is older than the records that it has published or read (`broker_ops::DatabaseAge`).

use std::future::{Ready, ready};
use std::time::Duration;

use broker_ops::DatabaseAge;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ops::{Finding, Health};

/// The longest that the API waits for the first check. With Kafka the check ends sooner; without Kafka the API serves.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Starts parts of the service once the check has found the database sound.
#[derive(Clone)]
pub(crate) struct Gate {
    history: watch::Receiver<DatabaseAge>,
    stop: CancellationToken,
}

impl Gate {
    pub(crate) fn new(history: watch::Receiver<DatabaseAge>, stop: CancellationToken) -> Self {
        Self { history, stop }
    }

    pub(crate) fn is_older(&self) -> bool {
        matches!(*self.history.borrow(), DatabaseAge::Older(_))
    }

    /// Waits for the check's first result, at most [`FIRST_ANSWER`], because Kafka may be down.
    pub(crate) async fn first_answer(&self) {
        let mut history = self.history.clone();
        let answered = async { history.wait_for(|history| *history != DatabaseAge::Unknown).await.map(drop) };
        let _ = tokio::time::timeout(FIRST_ANSWER, self.stop.run_until_cancelled(answered)).await;
    }

    /// Runs `part` once the database is found sound, or not at all when the service stops before.
    pub(crate) fn then(
        &self,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let sound = self.sound();
        async move { if sound.await { part.await } else { Ok(()) } }
    }

    /// Waits until the database is found sound; returns `false` when the service stops before.
    pub(crate) fn sound(&self) -> impl Future<Output = bool> + Send + 'static {
        let (mut history, stop) = (self.history.clone(), self.stop.clone());
        async move {
            let sound = async { history.wait_for(|history| *history == DatabaseAge::Sound).await.is_ok() };
            stop.run_until_cancelled(sound).await == Some(true)
        }
    }

    /// Adds the check to the ops port: ready unless the database is older, consuming once it is sound.
    pub(crate) fn add_to(&self, health: Health) -> Health {
        health
            .ready("history", self.check(|history| !matches!(history, DatabaseAge::Older(_))))
            .consuming("history", self.check(|history| *history == DatabaseAge::Sound))
    }

    fn check(&self, is_ok: fn(&DatabaseAge) -> bool) -> impl Fn() -> Ready<Finding> + Send + Sync + 'static {
        let history = self.history.clone();
        move || {
            let history = history.borrow();
            let detail = match &*history {
                DatabaseAge::Sound => Value::Null,
                DatabaseAge::Unknown => {
                    "Kafka has not answered yet, so the database's age is not known".into()
                }
                DatabaseAge::Older(finding) => finding.as_str().into(),
            };
            ready(Finding::new(is_ok(&history), detail))
        }
    }
}
