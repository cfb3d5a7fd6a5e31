//! Applies what a service has published to its own database: records through the fold of a topic that it owns.

use std::collections::BTreeMap;
use std::ops::Range;

use envelope::names;
use sqlx::Executor as _;

use crate::failure::Failure;
use crate::handler::{Batch, Guard, Outcome, Subscription};
use crate::record::Record;
use crate::tx::Tx;

/// Applies those of `records` that the database lacks, in the caller's transaction, and returns what became of each and
/// why the refused ones were refused. Nothing is appended: all of it was published once. The generations under which they
/// were published are dropped first: an aggregate's version is a plain number.
pub(super) async fn apply(
    tx: &mut Tx,
    own: &Subscription,
    records: &mut [Record],
) -> Result<Vec<(Outcome, Option<String>)>, Failure> {
    for headers in records.iter_mut().filter_map(|record| record.headers.as_mut()) {
        headers.retain(|(name, _)| name != names::GENERATION);
    }
    let mut results = vec![(Outcome::Skipped, None); records.len()];
    let mut rejected = BTreeMap::new();
    // The parts that are not applied yet, the next one last.
    let mut open = Vec::from([Range { start: 0, end: records.len() }]);
    while let Some(range) = open.pop() {
        if range.is_empty() {
            continue;
        }
        tx.execute("SAVEPOINT part").await?;
        let part = rejected
            .range(range.clone())
            .map(|(index, cause): (&usize, &String)| (index - range.start, cause.clone()));
        let part = part.collect();
        let batch = Batch { records: &records[range.clone()], rejected: &part, guard: Guard::On };
        let handled = own.apply(tx, batch).await;
        tx.forget_appends();
        match handled {
            Ok(mut handled) => {
                for (index, outcome) in handled.outcomes.iter().enumerate() {
                    results[range.start + index] = (*outcome, handled.causes.remove(&index));
                }
                tx.execute("RELEASE SAVEPOINT part").await?;
                continue;
            }
            Err(Failure::Record { index, cause }) => {
                rejected.insert(range.start + index, cause);
                open.push(range);
            }
            Err(Failure::SomeRecord(cause)) if range.len() == 1 => {
                results[range.start] = (Outcome::Dead, Some(cause));
            }
            Err(Failure::SomeRecord(_)) => open.extend(halves(&range)),
            Err(failure) => return Err(failure),
        }
        tx.execute("ROLLBACK TO SAVEPOINT part").await?;
    }
    Ok(results)
}

fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}
