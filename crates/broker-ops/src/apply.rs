//! Applies records outside of the consumer, in the caller's transaction.

use std::collections::BTreeMap;

use broker::maintenance::{Batch, Guard, Outcome, Parts, Record};
use broker::{Failure, Subscription, Tx};
use envelope::names;
use sqlx::Executor as _;

/// Applies `record` and returns its outcome. After [`Outcome::Dead`] the transaction must be rolled back.
pub(crate) async fn one(
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

/// Applies those of `records`, which the service has published itself on a topic that it owns, that its database does not
/// have. Returns the outcome of each.
///
/// Nothing is appended, because all of it was published before. The generations of the events are dropped first: an
/// aggregate's version is a plain number.
pub(crate) async fn forward(
    tx: &mut Tx,
    own: &Subscription,
    records: &mut [Record],
) -> Result<Vec<Outcome>, Failure> {
    for headers in records.iter_mut().filter_map(|record| record.headers.as_mut()) {
        headers.retain(|(name, _)| name != names::GENERATION);
    }
    let mut outcomes = vec![Outcome::Skipped; records.len()];
    let mut rejected: BTreeMap<usize, String> = BTreeMap::new();
    let mut parts = Parts::whole(records.len());
    while let Some(part) = parts.take_next() {
        tx.execute("SAVEPOINT part").await?;
        let causes = rejected.range(part.clone()).map(|(at, cause)| (at - part.start, cause.clone()));
        let causes = causes.collect();
        let batch = Batch { records: &records[part.clone()], rejected: &causes, guard: Guard::On };
        let handled = own.apply(tx, batch).await;
        tx.discard_events();
        match handled {
            Ok(handled) => {
                outcomes[part].clone_from_slice(&handled.outcomes);
                tx.execute("RELEASE SAVEPOINT part").await?;
                continue;
            }
            Err(Failure::Record { index, cause }) => {
                rejected.insert(part.start + index, cause);
                parts.put_back(part);
            }
            Err(Failure::SomeRecord(cause)) if part.len() == 1 => {
                outcomes[part.start] = Outcome::Dead(cause);
            }
            Err(Failure::SomeRecord(_)) => parts.put_back_halves(&part),
            Err(failure) => return Err(failure),
        }
        tx.execute("ROLLBACK TO SAVEPOINT part").await?;
    }
    Ok(outcomes)
}
