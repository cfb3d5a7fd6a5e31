//! Deliveries that ended long ago go; that their orders were told stays in `orders`.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

/// How long a finished delivery can be looked up.
const KEPT: time::Duration = time::Duration::days(90);
/// Rows a step: short transactions, so that nobody waits for them.
const STEP: i64 = 1000;
/// How often it is looked for them.
const INTERVAL: Duration = Duration::from_mins(10);

/// Deletes what is too old, again and again until `stop`.
pub(crate) async fn run(pool: PgPool, stop: CancellationToken) {
    let turn = || purge(&pool, OffsetDateTime::now_utc());
    work::every("purge", INTERVAL, &Notify::new(), stop, turn).await;
}

async fn purge(pool: &PgPool, now: OffsetDateTime) -> sqlx::Result<()> {
    let oldest = first_id(now - KEPT);
    loop {
        // Ids are in the order of time, so the primary key finds them; what is not finished stays, however old.
        let purged = sqlx::query!(
            r#"
            DELETE FROM deliveries WHERE id IN (
                SELECT id FROM deliveries WHERE id < $1 AND finished_at IS NOT NULL ORDER BY id LIMIT $2)
            "#,
            oldest,
            STEP,
        )
        .execute(pool)
        .await?
        .rows_affected();
        if purged < STEP.unsigned_abs() {
            return Ok(());
        }
    }
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

    #[test]
    fn ids_are_split_by_the_time_of_their_making() {
        let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert!(DeliveryId::new(time).uuid() > first_id(time));
        assert!(DeliveryId::new(time - time::Duration::SECOND).uuid() < first_id(time));
    }
}
