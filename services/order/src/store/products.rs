//! The service's copy of the catalogue.

use std::collections::BTreeMap;

use envelope::Sequence;
use events::Product;
use events::values::Sku;
use sqlx::PgConnection;

use super::{money, undecodable};
use crate::domain::pricing::{Catalogue, Offer};

/// A product as it was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductSnapshot {
    /// What it is.
    pub(crate) product: Product,
    /// Whether it can be ordered.
    pub(crate) listed: bool,
    /// The sequence of the last event seen of it.
    pub(crate) seen: Sequence,
}

/// What can be ordered, of `skus`.
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

/// The products of `skus` that there are, locked.
pub(crate) async fn load(
    connection: &mut PgConnection,
    skus: &[&str],
) -> sqlx::Result<BTreeMap<Sku, ProductSnapshot>> {
    let rows = sqlx::query!(
        "SELECT sku, name, price, currency, listed, seen FROM products WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE",
        skus as &[&str],
    );
    let mut copies = BTreeMap::new();
    for row in rows.fetch_all(connection).await? {
        let sku: Sku = row.sku.try_into().map_err(undecodable)?;
        let product = Product {
            sku: sku.clone(),
            name: row.name.try_into().map_err(undecodable)?,
            price: money(row.price, &row.currency)?,
        };
        let seen = Sequence::from_i64(row.seen).unwrap_or(Sequence::NONE);
        copies.insert(sku, ProductSnapshot { product, listed: row.listed, seen });
    }
    Ok(copies)
}

/// Writes products, new ones and known ones.
pub(crate) async fn save(
    connection: &mut PgConnection,
    copies: &BTreeMap<Sku, ProductSnapshot>,
) -> sqlx::Result<()> {
    let products = || copies.values().map(|copy| &copy.product);
    let skus: Vec<&str> = copies.keys().map(Sku::as_str).collect();
    let names: Vec<&str> = products().map(|product| product.name.as_str()).collect();
    let prices: Vec<i64> = products().map(|product| product.price.amount).collect();
    let currencies: Vec<&str> = products().map(|product| product.price.currency.as_str()).collect();
    let listed: Vec<bool> = copies.values().map(|copy| copy.listed).collect();
    let seen: Vec<i64> = copies.values().map(|copy| copy.seen.to_i64()).collect();
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
