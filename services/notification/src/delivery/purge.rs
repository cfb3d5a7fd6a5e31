//! Deletes old rows (`store::retention`).

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{mail_counts, retention};

const INTERVAL: Duration = Duration::from_mins(10);
/// Rows per transaction: short ones, so that nobody waits for their locks.
const STEP: i64 = 1000;

/// Runs until `stop`; `log` is the retention of the topics, `None` for ever.
pub(crate) async fn run(pool: PgPool, log: Option<Duration>, stop: CancellationToken) {
    let tick = || purge(&pool, log, OffsetDateTime::now_utc());
    work::every("purge", INTERVAL, &Notify::new(), stop, tick).await;
}

async fn purge(pool: &PgPool, log: Option<Duration>, now: OffsetDateTime) -> sqlx::Result<()> {
    while is_full(mail_counts::delete_old(pool, STEP).await?) {}
    while is_full(retention::delete_deliveries(pool, now - retention::DELIVERIES, STEP).await?) {}
    let Some(orders) = retention::of_orders(log) else { return Ok(()) };
    while is_full(retention::delete_orders(pool, now - orders, STEP).await?) {}
    Ok(())
}

/// There may be more rows.
fn is_full(rows: u64) -> bool {
    rows == STEP.unsigned_abs()
}
