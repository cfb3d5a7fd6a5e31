//! Applies a single record in the caller's transaction.

use std::collections::BTreeMap;

use broker::maintenance::{Batch, Guard, Outcome, Record};
use broker::{Failure, Subscription, Tx};

/// Applies `record` and returns its outcome. After [`Outcome::Dead`] the transaction must be rolled back.
pub(crate) async fn apply(
    tx: &mut Tx,
    subscription: &Subscription,
    record: &Record,
    guard: Guard,
) -> Result<Outcome, Failure> {
    let batch = Batch { records: std::slice::from_ref(record), rejected: &BTreeMap::new(), guard };
    match subscription.apply(tx, batch).await {
        Ok(handled) => Ok(handled.outcomes.into_iter().next().unwrap_or(Outcome::Skipped)),
        Err(Failure::Record { cause, .. } | Failure::SomeRecord(cause)) => Ok(Outcome::Dead(cause)),
        Err(failure) => Err(failure),
    }
}
