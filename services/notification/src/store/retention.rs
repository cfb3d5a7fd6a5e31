//! How long rows stay: finished deliveries for 90 days, and an order, whose row prevents a second message when its topic is read
//! again, until the log has lost it too.

use std::time::Duration;

use broker::Tx;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

/// How long a finished delivery can be looked up.
pub(crate) const DELIVERIES: Duration = Duration::from_hours(90 * 24);
const DAY: Duration = Duration::from_hours(24);
/// The log deletes whole segments, of a week each: a record may stay that much longer than its time.
const SEGMENT: Duration = Duration::from_hours(8 * 24);

/// How long an order stays after its last event; `None`: for ever, as in the log.
pub(crate) fn of_orders(log: Option<Duration>) -> Option<Duration> {
    log.map(|log| DELIVERIES.max(log.saturating_add(SEGMENT)))
}

/// Deletes at most `limit` deliveries from before `before`, and returns how many. Ids are in the order of time, so the primary
/// key finds them. An unfinished delivery stays, however old it is.
pub(crate) async fn delete_deliveries(
    pool: &PgPool,
    before: OffsetDateTime,
    limit: i64,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM deliveries WHERE id IN (
            SELECT id FROM deliveries WHERE id < $1 AND finished_at IS NOT NULL ORDER BY id LIMIT $2)
        "#,
        first_id(before),
        limit,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

/// The first id whose delivery certainly is still stored; one that is missing below it may have been deleted. A day later than
/// the deletion, which goes by the clock of its own machine.
pub(crate) async fn first_kept(tx: &mut Tx) -> sqlx::Result<Uuid> {
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&mut **tx).await?;
    Ok(first_id(now - DELIVERIES + DAY))
}

/// Deletes at most `limit` orders placed, and last changed, before `before`, and returns how many. An order with a stored
/// message stays.
pub(crate) async fn delete_orders(pool: &PgPool, before: OffsetDateTime, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM orders WHERE order_id IN (
            SELECT order_id FROM orders
            WHERE order_id < $1 AND seen_at < $2
              AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.order_id = orders.order_id)
            ORDER BY order_id LIMIT $3 FOR UPDATE SKIP LOCKED)
        "#,
        first_id(before),
        before,
        limit,
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

/// The smallest id of `time`: no id made then or later is smaller.
fn first_id(time: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap_or_default();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
    Uuid::from_u128(id.as_u128() & !((1 << 80) - 1))
}

#[cfg(test)]
mod tests {
    use events::values::DeliveryId;

    use super::*;

    #[test]
    fn an_order_stays_as_long_as_the_log_and_its_messages() {
        assert_eq!(of_orders(None), None);
        assert_eq!(of_orders(Some(30 * DAY)), Some(DELIVERIES));
        assert!(of_orders(Some(365 * DAY)) > Some(365 * DAY));
    }

    #[test]
    fn ids_are_split_by_the_time_of_their_making() {
        let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert!(DeliveryId::new(time).uuid() > first_id(time));
        assert!(DeliveryId::new(time - time::Duration::SECOND).uuid() < first_id(time));
    }
}
