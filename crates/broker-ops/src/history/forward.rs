//! Applies events that a service has published to its own database, with a handler of the topic that it owns.

use std::collections::BTreeMap;

use broker::maintenance::{Batch, Guard, Outcome, Parts, Record};
use broker::{Failure, Subscription, Tx};
use envelope::names;
use sqlx::Executor as _;

/// Applies those of `records` that the database does not have, in the caller's transaction, and returns the outcome of each.
///
/// Nothing is appended, because all of it was published before. The generations of the events are dropped first: an
/// aggregate's version is a plain number.
pub(super) async fn apply(
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
