//! Upgrades of rows that an earlier version wrote, applied by `SERVICE migrate` where SQL alone cannot compute the change.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use broker::{Failure, Outbox, Tx};
use futures::future::BoxFuture;

/// The most further attempts of a batch that fails because of another transaction.
const RETRIES: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The upgrade of one kind of rows.
///
/// `migrate` applies it after the schema's migrations, from the first row to the last, each time that it runs: the upgrade
/// must not change rows that already have the new form. An instance of the earlier version that still runs can write
/// further old rows; run `migrate` once more after the last one has stopped.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// The name in the log.
    pub name: &'static str,
    pub batch: Batch,
}

/// Upgrades the next rows after the key `after` (`None`: from the first), and returns the key of the last row that it read
/// (`None`: there was none). Its changes and events are committed in one transaction.
pub type Batch =
    for<'a> fn(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Result<Option<String>, Failure>>;

impl Upgrade {
    pub async fn run(&self, outbox: &Outbox) -> Result<(), Failure> {
        let mut after = None;
        while let Some(last) = self.with_retries(outbox, after.as_deref()).await? {
            after = Some(last);
        }
        Ok(())
    }

    async fn with_retries(&self, outbox: &Outbox, after: Option<&str>) -> Result<Option<String>, Failure> {
        let failed = |error: &Failure, _| {
            tracing::warn!(upgrade = self.name, %error, "a batch of the upgrade failed; retrying in 1 s");
        };
        let pauses = ConstantBuilder::default().with_delay(PAUSE).with_max_times(RETRIES);
        (|| self.once(outbox, after)).retry(pauses).notify(failed).await
    }

    async fn once(&self, outbox: &Outbox, after: Option<&str>) -> Result<Option<String>, Failure> {
        let mut tx = outbox.begin().await?;
        let last = (self.batch)(&mut tx, after).await?;
        tx.commit().await?;
        Ok(last)
    }
}
