//! The service's copy of the catalogue.

use std::collections::BTreeMap;

use envelope::Sequence;
use events::Product;
use events::values::{Currency, ProductName, Sku};
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::{money, undecodable};
use crate::domain::pricing::{Catalogue, Offer};

/// The last published state of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductSnapshot {
    /// The product.
    pub(crate) product: Product,
    /// Whether it can be ordered.
    pub(crate) listed: bool,
    /// The sequence of the last event applied.
    pub(crate) last_sequence: Sequence,
}

/// Returns the listed products of `skus`.
pub(crate) async fn catalogue(connection: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Catalogue> {
    let rows = sqlx::query!(
        "SELECT sku, name, price, currency FROM products WHERE sku = ANY ($1) AND listed",
        skus as &[&str],
    );
    let mut catalogue = Catalogue::new();
    for row in rows.fetch_all(connection).await? {
        let name = row.name.try_into().map_err(undecodable)?;
        let offer = Offer { name, price: money(row.price, &row.currency)? };
        catalogue.insert(row.sku.try_into().map_err(undecodable)?, offer);
    }
    Ok(catalogue)
}

/// Loads the known products of `skus`, locked.
pub(crate) async fn load(
    connection: &mut PgConnection,
    skus: &[&str],
) -> sqlx::Result<BTreeMap<Sku, ProductSnapshot>> {
    let rows = sqlx::query!(
        "SELECT sku, name, price, currency, listed, seen FROM products WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE",
        skus as &[&str],
    );
    let mut snapshots = BTreeMap::new();
    for row in rows.fetch_all(connection).await? {
        let sku: Sku = row.sku.try_into().map_err(undecodable)?;
        let product = Product {
            sku: sku.clone(),
            name: row.name.try_into().map_err(undecodable)?,
            price: money(row.price, &row.currency)?,
        };
        let last_sequence = Sequence::from_i64(row.seen).unwrap_or(Sequence::NONE);
        snapshots.insert(sku, ProductSnapshot { product, listed: row.listed, last_sequence });
    }
    Ok(snapshots)
}

/// Inserts or updates products.
pub(crate) async fn save(
    connection: &mut PgConnection,
    snapshots: &BTreeMap<Sku, ProductSnapshot>,
) -> sqlx::Result<()> {
    let rows: Vec<_> = snapshots.values().map(Row::of).collect();
    sqlx::query!(
        "INSERT INTO products
         SELECT * FROM jsonb_populate_recordset(NULL::products, $1) ORDER BY sku
         ON CONFLICT (sku) DO UPDATE
         SET name = excluded.name, price = excluded.price, currency = excluded.currency,
             listed = excluded.listed, seen = excluded.seen",
        Json(&rows) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row to write.
#[derive(Serialize)]
struct Row<'a> {
    sku: &'a Sku,
    name: &'a ProductName,
    price: i64,
    currency: Currency,
    listed: bool,
    seen: i64,
}

impl<'a> Row<'a> {
    fn of(snapshot: &'a ProductSnapshot) -> Self {
        let Product { sku, name, price } = &snapshot.product;
        let (listed, seen) = (snapshot.listed, snapshot.last_sequence.to_i64());
        Self { sku, name, price: price.amount, currency: price.currency, listed, seen }
    }
}
