//! Holds a service whose database is older than what it has published or read (`broker::DatabaseAge`).

use std::time::Duration;

use broker::DatabaseAge;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ops::{Finding, Health};

/// How long the first request waits at most: with Kafka there it finds the answer, without Kafka it is served.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Lets parts of the service begin when the database is known to be sound.
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

    /// Waits for an answer, but not for a Kafka that is away.
    pub(crate) async fn first_answer(&self) {
        let mut history = self.history.clone();
        let answered = async { history.wait_for(|history| *history != DatabaseAge::Unknown).await.map(drop) };
        let _ = tokio::time::timeout(FIRST_ANSWER, self.stop.run_until_cancelled(answered)).await;
    }

    /// Runs `part` from when the database is known to be sound; never when the service is to stop before.
    pub(crate) fn then(
        &self,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let sound = self.sound();
        async move { if sound.await { part.await } else { Ok(()) } }
    }

    /// Whether the database is known to be sound, as soon as it is; `false`: the service is to stop.
    pub(crate) fn sound(&self) -> impl Future<Output = bool> + Send + 'static {
        let (mut history, stop) = (self.history.clone(), self.stop.clone());
        async move {
            let sound = async { history.wait_for(|history| *history == DatabaseAge::Sound).await.is_ok() };
            stop.run_until_cancelled(sound).await == Some(true)
        }
    }

    /// Adds what is known to what the ops port tells: ready unless the database is older, consuming once it is sound.
    pub(crate) fn watched_by(&self, health: Health) -> Health {
        health
            .ready("history", self.check(|history| !matches!(history, DatabaseAge::Older(_))))
            .consuming("history", self.check(|history| *history == DatabaseAge::Sound))
    }

    fn check(
        &self,
        is_ok: fn(&DatabaseAge) -> bool,
    ) -> impl Fn() -> std::future::Ready<Finding> + Send + Sync + 'static {
        let history = self.history.clone();
        move || {
            let history = history.borrow();
            let detail = match &*history {
                DatabaseAge::Sound => Value::Null,
                DatabaseAge::Unknown => {
                    "Kafka has not told yet whether the database is older than what was published".into()
                }
                DatabaseAge::Older(finding) => finding.as_str().into(),
            };
            std::future::ready(Finding::new(is_ok(&history), detail))
        }
    }
}
