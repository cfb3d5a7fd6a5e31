//! The stock of the products.

use std::collections::BTreeMap;

use broker::Keys;
use envelope::Sequence;
use events::StockLevel;
use events::values::Sku;
use sqlx::PgConnection;

use super::{bounds, sequence, unreadable};
use crate::domain::{Shelves, Stock};

/// Inserts the empty stock row of a new product.
pub(crate) async fn insert(connection: &mut PgConnection, sku: &Sku) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO stock (sku, version) VALUES ($1, 1)", sku.as_str()).execute(connection).await?;
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
    )
    .fetch_all(connection)
    .await?;
    let shelves = rows.into_iter().map(|row| {
        let stock = Stock {
            on_hand: row.on_hand,
            reserved: row.reserved,
            committed: row.committed,
            restocked: row.restocked,
            corrected: row.corrected,
            restocks: row.restocks,
            version: sequence(row.version),
        };
        Ok((Sku::try_from(row.sku).map_err(unreadable)?, stock))
    });
    shelves.collect::<sqlx::Result<BTreeMap<_, _>>>().map(Shelves)
}

/// Writes rows, which are locked.
pub(crate) async fn save(connection: &mut PgConnection, rows: &[(&Sku, Stock)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&Stock) -> i64| rows.iter().map(|(_, stock)| value(stock)).collect::<Vec<_>>();
    let skus: Vec<&str> = rows.iter().map(|(sku, _)| sku.as_str()).collect();
    sqlx::query!(
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
        &skus as &[&str],
        &column(|stock| stock.on_hand),
        &column(|stock| stock.reserved),
        &column(|stock| stock.committed),
        &column(|stock| stock.restocked),
        &column(|stock| stock.corrected),
        &column(|stock| stock.restocks),
        &column(|stock| stock.version.to_i64()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Increments the versions of stock rows, locked in the order of their SKUs, so that their state is published again.
pub(crate) async fn increment_versions(
    connection: &mut PgConnection,
    keys: Keys<'_>,
) -> sqlx::Result<Vec<(Sequence, StockLevel)>> {
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
    )
    .fetch_all(connection)
    .await?;
    let levels = rows.into_iter().map(|row| {
        let (on_hand, restocks) = (row.on_hand, row.restocks);
        let sku = Sku::try_from(row.sku).map_err(unreadable)?;
        Ok((sequence(row.version), StockLevel { sku, available: on_hand - row.reserved, on_hand, restocks }))
    });
    levels.collect()
}
