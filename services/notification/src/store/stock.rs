//! The copy of topic `stock`: the levels, and when a wave is due. A wave runs under the lock of its product's row.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Cause, Tx};
use envelope::Sequence;
use events::StockLevel;
use events::values::Sku;
use sqlx::PgPool;
use uuid::Uuid;

use super::{column, sequence};

/// The stock of a batch, by product.
pub(crate) type Levels = BTreeMap<Sku, Level>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub available: i64,
    pub restocks: i64,
    /// Of topic `stock`.
    pub last_sequence: Sequence,
    /// The level has risen in this batch, so a wave may find somebody to notify.
    pub risen: bool,
    /// The event that raised the level last.
    pub cause: Cause,
}

impl Level {
    /// Applies a new level. Any rise counts, not only a restock: units of a declined payment can be sold again too.
    pub(crate) fn apply(&mut self, level: &StockLevel, cause: Cause) {
        if level.available > self.available || level.restocks > self.restocks {
            self.risen = true;
            self.cause = cause;
        }
        self.available = level.available;
        self.restocks = level.restocks;
    }
}

/// Loads and locks the stock of these products; unknown ones are absent.
pub(crate) async fn load(tx: &mut Tx, skus: &[String]) -> sqlx::Result<Levels> {
    let rows = sqlx::query!(
        "SELECT sku, available, restocks, seen_stock, caused_by, traceparent
         FROM stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let level = Level {
            available: row.available,
            restocks: row.restocks,
            last_sequence: sequence(row.seen_stock),
            risen: false,
            cause: Cause { event_id: row.caused_by, traceparent: row.traceparent },
        };
        Some((row.sku.parse().ok()?, level))
    });
    Ok(rows.collect())
}

/// Writes levels. A wave is due for those that have risen, and for those that fell while messages are queued.
pub(crate) async fn save(tx: &mut Tx, levels: &Levels) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        INSERT INTO stock (sku, available, restocks, seen_stock, wave_at, caused_by, traceparent)
        SELECT sku, available, restocks, seen, CASE WHEN risen THEN now() END, caused_by, traceparent
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::uuid[], $7::text[])
             AS level (sku, available, restocks, seen, risen, caused_by, traceparent)
        ON CONFLICT (sku) DO UPDATE
        SET available = excluded.available, restocks = excluded.restocks, seen_stock = excluded.seen_stock,
            caused_by = excluded.caused_by, traceparent = excluded.traceparent,
            wave_at = COALESCE(
                excluded.wave_at,
                CASE WHEN excluded.available < stock.available AND EXISTS (
                    SELECT FROM subscriptions WHERE subscriptions.sku = excluded.sku AND queued_at IS NOT NULL)
                THEN now() END,
                stock.wave_at)
        "#,
        &column(levels, |(sku, _)| sku.as_str()) as &[&str],
        &column(levels, |(_, level)| level.available),
        &column(levels, |(_, level)| level.restocks),
        &column(levels, |(_, level)| level.last_sequence.to_i64()),
        &column(levels, |(_, level)| level.risen && level.available > 0),
        &column(levels, |(_, level)| level.cause.event_id) as &[Option<Uuid>],
        &column(levels, |(_, level)| level.cause.traceparent.as_deref()) as &[Option<&str>],
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Makes a wave due now for each of these products that is in stock: somebody joins its line. To be called before
/// subscriptions are locked, in the order in which a wave locks.
pub(crate) async fn make_wave_due(tx: &mut Tx, skus: &[&str]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        UPDATE stock SET wave_at = now()
        WHERE sku IN (SELECT sku FROM stock WHERE sku = ANY($1) AND available > 0 ORDER BY sku FOR UPDATE)
        "#,
        skus as &[&str],
    );
    query.execute(&mut **tx).await.map(drop)
}

/// The same for the products for which these customers wait by an order, while their address is not known.
pub(crate) async fn make_wave_due_for(tx: &mut Tx, customers: &[Uuid]) -> sqlx::Result<()> {
    let skus = sqlx::query_scalar!(
        "SELECT DISTINCT sku FROM subscriptions
         WHERE customer_id = ANY($1) AND email IS NULL AND state = 'waiting'",
        customers,
    );
    let skus = skus.fetch_all(&mut **tx).await?;
    if skus.is_empty() {
        return Ok(());
    }
    make_wave_due(tx, &column(&skus, String::as_str)).await
}

/// Makes due now the waves that are due later than `bound` from now, and returns the number of products.
pub(crate) async fn hasten(pool: &PgPool, bound: Duration) -> sqlx::Result<u64> {
    let hastened = sqlx::query!(
        r#"
        UPDATE stock SET wave_at = now()
        WHERE sku IN (SELECT sku FROM stock WHERE wave_at > now() + make_interval(secs => $1) FOR UPDATE SKIP LOCKED)
        "#,
        bound.as_secs_f64(),
    );
    Ok(hastened.execute(pool).await?.rows_affected())
}

/// Postpones the wave of a product by `pause`.
pub(crate) async fn postpone_wave(pool: &PgPool, sku: &str, pause: Duration) -> sqlx::Result<()> {
    let postponed = sqlx::query!(
        "UPDATE stock SET wave_at = now() + make_interval(secs => $2) WHERE sku = $1 AND wave_at <= now()",
        sku,
        pause.as_secs_f64(),
    );
    postponed.execute(pool).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(available: i64, restocks: i64) -> StockLevel {
        StockLevel { sku: "MUG".parse().unwrap(), available, on_hand: available, restocks }
    }

    #[test]
    fn any_rise_makes_a_wave_due_and_a_fall_does_not() {
        let mut stock = Level { available: 3, restocks: 1, ..Level::default() };
        stock.apply(&level(0, 1), Cause::default());
        assert!(!stock.risen);
        let back = Cause { event_id: Some(Uuid::nil()), traceparent: None };
        stock.apply(&level(1, 1), back.clone());
        assert!(stock.risen, "a unit came back");
        stock.apply(&level(0, 1), Cause::default());
        assert!(stock.risen, "the level rose within the batch");
        assert_eq!(stock.cause, back, "a fall is not the cause of a message");
    }
}
