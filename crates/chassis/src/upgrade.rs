//! Rows that an earlier version wrote, brought to this version's form by `SERVICE migrate`, where SQL alone cannot.

use std::time::Duration;

use broker::{Failure, Outbox, Tx};
use futures::future::BoxFuture;

/// How often a batch is tried that another transaction disturbs, and how long the pause between is.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// One kind of rows to bring to this version's form.
///
/// `migrate` applies it after the schema's migrations, from the first row to the last, each time that it runs: rows that
/// are in form already must stay as they are. An instance of the earlier version that runs on meanwhile can write further
/// old rows; `migrate` is to be run once more when the last one has stopped.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// The name in the log.
    pub name: &'static str,
    /// Applies one batch.
    pub batch: Batch,
}

/// Brings the next rows behind the key `after` (`None`: from the first) to form, and returns the key of the last one that
/// it looked at; `None`: there was none. What it writes and appends is committed as one transaction.
pub type Batch =
    for<'a> fn(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Result<Option<String>, Failure>>;

impl Upgrade {
    /// Applies all batches.
    pub async fn run(&self, outbox: &Outbox) -> Result<(), Failure> {
        let mut after = None;
        while let Some(last) = self.patiently(outbox, after.as_deref()).await? {
            after = Some(last);
        }
        Ok(())
    }

    async fn patiently(&self, outbox: &Outbox, after: Option<&str>) -> Result<Option<String>, Failure> {
        let mut attempt = 1;
        loop {
            match self.once(outbox, after).await {
                Err(error) if attempt < ATTEMPTS => {
                    tracing::warn!(upgrade = self.name, %error, "a batch failed and is tried again");
                    tokio::time::sleep(PAUSE).await;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn once(&self, outbox: &Outbox, after: Option<&str>) -> Result<Option<String>, Failure> {
        let mut tx = outbox.begin().await?;
        let last = (self.batch)(&mut tx, after).await?;
        tx.commit().await?;
        Ok(last)
    }
}
