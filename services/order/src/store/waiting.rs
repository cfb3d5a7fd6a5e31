//! Orders that wait for payment or inventory.

use broker::columns::sequence;
use broker_ops::{Awaited, Waiting};
use sqlx::PgPool;

/// Finds orders whose payment is not in the state that their status requires.
pub(crate) async fn for_payments(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, seen_payments AS seen, placed_at FROM orders
        WHERE CASE status
                  WHEN 'placed' THEN payment = 'pending'
                  WHEN 'confirmed' THEN payment <> 'captured'
                  ELSE payment NOT IN ('declined', 'voided', 'refunded') END
          AND updated_at <= $1 AND id > $2
        ORDER BY id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter();
    Ok(rows.map(|row| Awaited::of_uuid(row.id, sequence(row.seen), row.placed_at)).collect())
}

/// Finds orders whose reservation is not in the state that their status requires.
pub(crate) async fn for_reservations(pool: PgPool, waiting: Waiting) -> sqlx::Result<Vec<Awaited>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, seen_reservations AS seen, placed_at FROM orders
        WHERE CASE status
                  WHEN 'placed' THEN stock = 'pending'
                  WHEN 'confirmed' THEN stock <> 'committed'
                  ELSE stock NOT IN ('rejected', 'released') END
          AND updated_at <= $1 AND id > $2
        ORDER BY id LIMIT $3
        "#,
        waiting.unchanged_since,
        waiting.after_uuid(),
        waiting.limit,
    );
    let rows = rows.fetch_all(&pool).await?.into_iter();
    Ok(rows.map(|row| Awaited::of_uuid(row.id, sequence(row.seen), row.placed_at)).collect())
}
