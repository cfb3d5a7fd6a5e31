//! The service's copy of the catalogue.

use std::collections::BTreeMap;

use broker::columns::{column, sequence, undecodable};
use envelope::Sequence;
use events::Product;
use events::values::{Money, Sku};
use sqlx::PgConnection;

use crate::domain::pricing::{Catalogue, Offer};

/// The last published state of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductSnapshot {
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
        let price = Money::new(row.price, &row.currency).map_err(undecodable)?;
        catalogue.insert(row.sku.try_into().map_err(undecodable)?, Offer { name, price });
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
            price: Money::new(row.price, &row.currency).map_err(undecodable)?,
        };
        let last_sequence = sequence(row.seen);
        snapshots.insert(sku, ProductSnapshot { product, listed: row.listed, last_sequence });
    }
    Ok(snapshots)
}

/// Inserts or updates products.
pub(crate) async fn save(
    connection: &mut PgConnection,
    snapshots: &BTreeMap<Sku, ProductSnapshot>,
) -> sqlx::Result<()> {
    let rows = || snapshots.values();
    let saved = sqlx::query!(
        "INSERT INTO products (sku, name, price, currency, listed, seen)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[]) ORDER BY 1
         ON CONFLICT (sku) DO UPDATE
         SET name = excluded.name, price = excluded.price, currency = excluded.currency,
             listed = excluded.listed, seen = excluded.seen",
        &column(rows(), |row| row.product.sku.as_str()) as &[&str],
        &column(rows(), |row| row.product.name.as_str()) as &[&str],
        &column(rows(), |row| row.product.price.amount),
        &column(rows(), |row| row.product.price.currency.as_str()) as &[&str],
        &column(rows(), |row| row.listed),
        &column(rows(), |row| row.last_sequence.to_i64()),
    );
    saved.execute(connection).await?;
    Ok(())
}
