//! What ended long ago goes: finished deliveries after 90 days, and what is remembered of an order, so that nobody is told
//! twice when its topic is read again, once the log has forgotten it too.

use std::time::Duration;

use broker::Tx;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

use super::quota;

/// How long a finished delivery can be looked up.
const KEPT: Duration = Duration::from_hours(90 * 24);
const DAY: Duration = Duration::from_hours(24);
/// The log deletes by the segment, of a week: a record may stay that much longer than its time.
const SEGMENT: Duration = Duration::from_hours(8 * 24);
/// Rows a step: short transactions, so that nobody waits for them.
const STEP: i64 = 1000;
/// How often it is looked for them.
const INTERVAL: Duration = Duration::from_mins(10);

/// Deletes what is too old, again and again until `stop`; `retention` is the log's, `None` for ever.
pub(crate) async fn run(pool: PgPool, retention: Option<Duration>, stop: CancellationToken) {
    let turn = || purge(&pool, retention, OffsetDateTime::now_utc());
    work::every("purge", INTERVAL, &Notify::new(), stop, turn).await;
}

async fn purge(pool: &PgPool, retention: Option<Duration>, now: OffsetDateTime) -> sqlx::Result<()> {
    while is_full(quota::forget(pool, STEP).await?) {}
    while is_full(deliveries(pool, now - KEPT).await?) {}
    let Some(remembered) = remembered(retention) else { return Ok(()) };
    while is_full(orders(pool, now - remembered).await?) {}
    Ok(())
}

/// How long an order is remembered after it was last heard of; `None`: for ever, as the log is.
fn remembered(retention: Option<Duration>) -> Option<Duration> {
    retention.map(|retention| KEPT.max(retention.saturating_add(SEGMENT)))
}

fn is_full(step: u64) -> bool {
    step == STEP.unsigned_abs()
}

/// One step. Ids are in the order of time, so the primary key finds them; what is not finished stays, however old.
async fn deliveries(pool: &PgPool, before: OffsetDateTime) -> sqlx::Result<u64> {
    let purged = sqlx::query!(
        r#"
        DELETE FROM deliveries WHERE id IN (
            SELECT id FROM deliveries WHERE id < $1 AND finished_at IS NOT NULL ORDER BY id LIMIT $2)
        "#,
        first_id(before),
        STEP,
    );
    Ok(purged.execute(pool).await?.rows_affected())
}

/// The first id of the deliveries that are certain to be kept; one that is missing below it may have been purged. A day
/// early, because the purge goes by the clock of its own machine.
pub(crate) async fn first_kept(tx: &mut Tx) -> sqlx::Result<Uuid> {
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&mut **tx).await?;
    Ok(first_id(now - KEPT + DAY))
}

/// One step: those placed, and last heard of, before; not while a message about them is kept.
async fn orders(pool: &PgPool, before: OffsetDateTime) -> sqlx::Result<u64> {
    let purged = sqlx::query!(
        r#"
        DELETE FROM orders WHERE order_id IN (
            SELECT order_id FROM orders
            WHERE order_id < $1 AND seen_at < $2
              AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.order_id = orders.order_id)
            ORDER BY order_id LIMIT $3 FOR UPDATE SKIP LOCKED)
        "#,
        first_id(before),
        before,
        STEP,
    );
    Ok(purged.execute(pool).await?.rows_affected())
}

/// No id made at `time` or later is smaller.
fn first_id(time: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap_or_default();
    let made = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
    Uuid::from_u128(made.as_u128() & !((1 << 80) - 1))
}

#[cfg(test)]
mod tests {
    use events::values::DeliveryId;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn an_order_is_remembered_as_long_as_the_log_and_its_messages() {
        assert_eq!(remembered(None), None);
        assert_eq!(remembered(Some(30 * DAY)), Some(KEPT));
        assert!(remembered(Some(365 * DAY)) > Some(365 * DAY));
    }

    #[test]
    fn ids_are_split_by_the_time_of_their_making() {
        let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert!(DeliveryId::new(time).uuid() > first_id(time));
        assert!(DeliveryId::new(time - time::Duration::SECOND).uuid() < first_id(time));
    }
}
