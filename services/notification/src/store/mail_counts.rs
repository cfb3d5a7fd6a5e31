//! How many messages of a kind each mailbox was sent within the current hour, over all instances.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use events::values::DeliveryId;
use sqlx::{PgConnection, PgPool};
use work::furthest;

use super::column;

/// The stored form of a mailbox, and a kind.
pub(crate) type Key = (Vec<u8>, String);

/// Adds these deliveries to the counts of their mailboxes, and returns the new counts. The keys are locked in order. An hour
/// that begins in the future was written while the database's clock was ahead; a new one begins.
pub(crate) async fn add(
    connection: &mut PgConnection,
    by_key: &BTreeMap<Key, Vec<DeliveryId>>,
) -> sqlx::Result<HashMap<Key, usize>> {
    let rows = sqlx::query!(
        r#"
        INSERT INTO mail_counts AS counted (mailbox, kind, begun, since)
        SELECT mailbox, kind, new, now() FROM unnest($1::bytea[], $2::text[], $3::integer[]) AS due (mailbox, kind, new)
        ORDER BY mailbox, kind
        ON CONFLICT (mailbox, kind) DO UPDATE SET
            begun = excluded.begun + CASE
                WHEN counted.since BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4) THEN counted.begun
                ELSE 0 END,
            since = CASE
                WHEN counted.since BETWEEN now() - interval '1 hour' AND now() + make_interval(secs => $4) THEN counted.since
                ELSE now() END
        RETURNING mailbox, kind, begun
        "#,
        &column(by_key.keys(), |(mailbox, _)| mailbox.clone()),
        &column(by_key.keys(), |(_, kind)| kind.as_str()) as &[&str],
        &column(by_key.values(), |ids| i32::try_from(ids.len()).unwrap_or(i32::MAX)),
        furthest(Duration::ZERO).as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let counts = rows.into_iter().map(|row| {
        let begun = usize::try_from(row.begun).unwrap_or_default();
        ((row.mailbox, row.kind), begun)
    });
    Ok(counts.collect())
}

/// Deletes at most `limit` counts whose hour is over, and returns how many.
pub(crate) async fn delete_old(pool: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM mail_counts WHERE (mailbox, kind) IN (
            SELECT mailbox, kind FROM mail_counts
            WHERE since <= now() - interval '1 hour' OR since > now() + make_interval(secs => $2)
            LIMIT $1 FOR UPDATE SKIP LOCKED)
        "#,
        limit,
        furthest(Duration::ZERO).as_secs_f64(),
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}
