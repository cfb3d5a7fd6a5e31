//! The copy of the stock: what there is, and when somebody could be told. The row of a product is the lock under which
//! its waves run.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Cause, Tx};
use envelope::Sequence;
use events::StockLevel;
use events::values::Sku;
use sqlx::PgPool;
use uuid::Uuid;

/// The stock of a batch, by product.
pub(crate) type Levels = BTreeMap<Sku, Level>;

/// What is known of a product's stock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub available: i64,
    pub restocks: i64,
    /// The last sequence seen of topic `stock`.
    pub seen: Sequence,
    /// It has risen in this batch: somebody may be told.
    pub risen: bool,
    /// The event that raised it last.
    pub cause: Cause,
}

impl Level {
    /// Takes a new level over. Any rise counts, not a restock alone: what comes back from a declined payment can be
    /// sold again too.
    pub(crate) fn apply(&mut self, level: &StockLevel, cause: Cause) {
        if level.available > self.available || level.restocks > self.restocks {
            self.risen = true;
            self.cause = cause;
        }
        self.available = level.available;
        self.restocks = level.restocks;
    }
}

/// Loads and locks the stock of these products; those not heard of yet are absent.
pub(crate) async fn load(tx: &mut Tx, skus: &[String]) -> sqlx::Result<Levels> {
    let rows = sqlx::query!(
        "SELECT sku, available, restocks, seen_stock, caused_by, traceparent
         FROM stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let seen = Sequence::from_i64(row.seen_stock).unwrap_or_default();
        let cause = Cause { event_id: row.caused_by, traceparent: row.traceparent };
        let level = Level { available: row.available, restocks: row.restocks, seen, risen: false, cause };
        Some((row.sku.parse().ok()?, level))
    });
    Ok(rows.collect())
}

/// Writes levels; those that have risen are due for a wave, and those that have fallen below what is being told.
pub(crate) async fn save(tx: &mut Tx, levels: &Levels) -> sqlx::Result<()> {
    let skus: Vec<&str> = levels.keys().map(Sku::as_str).collect();
    let available: Vec<i64> = levels.values().map(|level| level.available).collect();
    let restocks: Vec<i64> = levels.values().map(|level| level.restocks).collect();
    let seen: Vec<i64> = levels.values().map(|level| level.seen.to_i64()).collect();
    let (caused_by, traces): (Vec<Option<Uuid>>, Vec<Option<&str>>) =
        levels.values().map(|level| (level.cause.event_id, level.cause.traceparent.as_deref())).unzip();
    let risen: Vec<bool> = levels.values().map(|level| level.risen && level.available > 0).collect();
    sqlx::query!(
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
        &skus as &[&str],
        &available,
        &restocks,
        &seen,
        &risen,
        &caused_by as &[Option<Uuid>],
        &traces as &[Option<&str>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Somebody waits who did not before: where there is stock, a wave is due. To be called before subscriptions are
/// locked, as a wave locks in that order.
pub(crate) async fn look_again(tx: &mut Tx, skus: &[&str]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE stock SET wave_at = now()
        WHERE sku IN (SELECT sku FROM stock WHERE sku = ANY($1) AND available > 0 ORDER BY sku FOR UPDATE)
        "#,
        skus as &[&str],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes due now the waves that are to be due later than `bound` from now, and returns how many products that concerned.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn level(available: i64, restocks: i64) -> StockLevel {
        StockLevel { sku: "MUG".parse().unwrap(), available, on_hand: available, restocks }
    }

    #[test]
    fn any_rise_is_worth_a_look_and_a_fall_is_not() {
        let mut stock = Level { available: 3, restocks: 1, ..Level::default() };
        stock.apply(&level(0, 1), Cause::default());
        assert!(!stock.risen);
        let back = Cause { event_id: Some(Uuid::nil()), traceparent: None };
        stock.apply(&level(1, 1), back.clone());
        assert!(stock.risen, "a unit came back");
        stock.apply(&level(0, 1), Cause::default());
        assert!(stock.risen, "it was so within the batch");
        assert_eq!(stock.cause, back, "who takes it away again is no cause to tell anybody");
    }
}
