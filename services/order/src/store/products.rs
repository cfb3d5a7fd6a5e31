//! The service's copy of the catalogue.

use std::collections::BTreeMap;

use envelope::Sequence;
use events::Product;
use events::values::Sku;
use sqlx::PgConnection;

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
    let products = || snapshots.values().map(|snapshot| &snapshot.product);
    let skus: Vec<&str> = snapshots.keys().map(Sku::as_str).collect();
    let names: Vec<&str> = products().map(|product| product.name.as_str()).collect();
    let prices: Vec<i64> = products().map(|product| product.price.amount).collect();
    let currencies: Vec<&str> = products().map(|product| product.price.currency.as_str()).collect();
    let listed: Vec<bool> = snapshots.values().map(|snapshot| snapshot.listed).collect();
    let seen: Vec<i64> = snapshots.values().map(|snapshot| snapshot.last_sequence.to_i64()).collect();
    sqlx::query!(
        "INSERT INTO products (sku, name, price, currency, listed, seen)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[]) ORDER BY 1
         ON CONFLICT (sku) DO UPDATE
         SET name = excluded.name, price = excluded.price, currency = excluded.currency,
             listed = excluded.listed, seen = excluded.seen",
        &skus as &[&str],
        &names as &[&str],
        &prices,
        &currencies as &[&str],
        &listed,
        &seen,
    )
    .execute(connection)
    .await?;
    Ok(())
}
