//! Cancels orders that have waited too long for answers.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Failure, Outbox};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{status_log, store};

pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// The most orders per transaction.
const CHUNK: usize = 100;

/// Cancels all expired orders; orders expire after `expires_after`.
pub(crate) async fn expire_all(outbox: Outbox, expires_after: Duration) -> Result<(), Failure> {
    store::orders::limit_waits(outbox.pool(), expires_after).await?;
    while expire(&outbox).await? == CHUNK {}
    Ok(())
}

/// Cancels at most [`CHUNK`] expired orders and returns their number.
async fn expire(outbox: &Outbox) -> Result<usize, Failure> {
    let mut tx = outbox.begin().await?;
    let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut traces: BTreeMap<Uuid, Option<String>> = store::orders::lock_expired(&mut tx, limit).await?;
    if traces.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = traces.keys().copied().collect();
    let mut orders = store::orders::load(&mut tx, &ids).await?;
    let now = OffsetDateTime::now_utc().truncate_to_microsecond();
    for order in &mut orders {
        if let Some(event) = order.expire(now) {
            let trace = traces.remove(&order.id().uuid()).flatten();
            status_log::publish(&mut tx, order, &event, trace)?;
        }
    }
    store::orders::save(&mut tx, &orders.iter().collect::<Vec<_>>()).await?;
    tx.commit().await?;
    Ok(ids.len())
}
