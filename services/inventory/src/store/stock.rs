//! The stock of the products.

use std::collections::BTreeMap;

use broker::Keys;
use broker::columns::{column, sequence, undecodable};
use envelope::Sequence;
use events::values::Sku;
use events::{StockEvent, StockLevel};
use sqlx::PgConnection;

use super::bounds;
use crate::domain::{Shelves, Stock};

/// Inserts the empty stock rows of new products.
pub(crate) async fn insert(connection: &mut PgConnection, skus: &[&str]) -> sqlx::Result<()> {
    let inserted = sqlx::query!(
        "INSERT INTO stock (sku, version) SELECT sku, 1 FROM unnest($1::text[]) AS told (sku) ON CONFLICT DO NOTHING",
        skus as &[&str],
    );
    inserted.execute(connection).await?;
    Ok(())
}

/// Loads the existing stock of `skus`, locked in the order of the SKUs.
pub(crate) async fn load(connection: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Shelves> {
    if skus.is_empty() {
        return Ok(Shelves::default());
    }
    let rows = sqlx::query!(
        "SELECT sku, on_hand, reserved, committed, restocked, corrected, restocks, version
         FROM stock WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus as &[&str],
    );
    let shelves = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let stock = Stock {
            on_hand: row.on_hand,
            reserved: row.reserved,
            committed: row.committed,
            restocked: row.restocked,
            corrected: row.corrected,
            restocks: row.restocks,
            version: sequence(row.version),
        };
        Ok((Sku::try_from(row.sku).map_err(undecodable)?, stock))
    });
    shelves.collect::<sqlx::Result<BTreeMap<_, _>>>().map(Shelves)
}

/// Writes rows, which are locked.
pub(crate) async fn save(connection: &mut PgConnection, rows: &[(&Sku, Stock)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let saved = sqlx::query!(
        r#"
        UPDATE stock
        SET on_hand = given.on_hand, reserved = given.reserved, committed = given.committed,
            restocked = given.restocked, corrected = given.corrected, restocks = given.restocks,
            version = given.version
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                    $7::bigint[], $8::bigint[])
             AS given (sku, on_hand, reserved, committed, restocked, corrected, restocks, version)
        WHERE stock.sku = given.sku
        "#,
        &column(rows, |(sku, _)| sku.as_str()) as &[&str],
        &column(rows, |(_, stock)| stock.on_hand),
        &column(rows, |(_, stock)| stock.reserved),
        &column(rows, |(_, stock)| stock.committed),
        &column(rows, |(_, stock)| stock.restocked),
        &column(rows, |(_, stock)| stock.corrected),
        &column(rows, |(_, stock)| stock.restocks),
        &column(rows, |(_, stock)| stock.version.to_i64()),
    );
    saved.execute(connection).await?;
    Ok(())
}

/// Increments the versions of stock rows, locked in the order of their SKUs, and returns the events that publish their state
/// again.
pub(crate) async fn increment_versions(
    connection: &mut PgConnection,
    keys: Keys<'_>,
) -> sqlx::Result<Vec<(Sequence, StockEvent)>> {
    let (one, after, limit) = bounds(keys);
    let rows = sqlx::query!(
        r#"
        WITH locked AS (
            SELECT sku FROM stock
            WHERE ($1::text IS NULL OR sku = $1) AND sku > $2
            ORDER BY sku LIMIT $3 FOR UPDATE
        ), raised AS (
            UPDATE stock SET version = version + 1 FROM locked WHERE stock.sku = locked.sku
            RETURNING stock.*
        )
        SELECT sku AS "sku!", on_hand AS "on_hand!", reserved AS "reserved!", restocks AS "restocks!",
               version AS "version!"
        FROM raised ORDER BY sku
        "#,
        one,
        after,
        limit,
    );
    let states = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let (on_hand, restocks) = (row.on_hand, row.restocks);
        let sku = Sku::try_from(row.sku).map_err(undecodable)?;
        let level = StockLevel { sku, available: on_hand - row.reserved, on_hand, restocks };
        // Not a replenishment, since no goods came in.
        Ok((sequence(row.version), StockEvent::Changed(level)))
    });
    states.collect()
}
