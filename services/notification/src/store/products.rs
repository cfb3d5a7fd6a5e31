//! The copy of topic `products`: names and prices for messages, and the products that can be subscribed to.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{Money, Sku};
use events::{Product, ProductEvent};
use sqlx::PgExecutor;

use super::{column, sequence, undecodable};

/// The products of a batch.
pub(crate) type Products = BTreeMap<Sku, ProductSnapshot>;

#[derive(Debug, Default)]
pub(crate) struct ProductSnapshot {
    /// The last event of this batch.
    pub event: Option<ProductEvent>,
    /// Of topic `products`.
    pub last_sequence: Sequence,
}

/// Loads and locks how far the events of these products were read.
pub(crate) async fn load(tx: &mut Tx, skus: &[String]) -> sqlx::Result<Products> {
    let rows = sqlx::query!(
        "SELECT sku, seen_products FROM products WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let last_sequence = sequence(row.seen_products);
        Some((row.sku.parse().ok()?, ProductSnapshot { event: None, last_sequence }))
    });
    Ok(rows.collect())
}

/// Writes the products of a batch. A product that is listed and in stock is due for a wave: it may have been delisted before.
pub(crate) async fn save(tx: &mut Tx, products: &Products) -> sqlx::Result<()> {
    let changed: Vec<(&ProductEvent, Sequence)> =
        products.values().filter_map(|copy| Some((copy.event.as_ref()?, copy.last_sequence))).collect();
    let products: Vec<&Product> = column(&changed, |(event, _)| event.product());
    let query = sqlx::query!(
        r#"
        WITH changed AS (
            INSERT INTO products (sku, name, amount, currency, listed, seen_products)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[])
            ON CONFLICT (sku) DO UPDATE
            SET name = excluded.name, amount = excluded.amount, currency = excluded.currency, listed = excluded.listed,
                seen_products = excluded.seen_products
            RETURNING sku, listed
        )
        UPDATE stock SET wave_at = now()
        FROM changed WHERE stock.sku = changed.sku AND changed.listed AND available > 0
        "#,
        &column(&products, |product| product.sku.as_str()) as &[&str],
        &column(&products, |product| product.name.as_str()) as &[&str],
        &column(&products, |product| product.price.amount),
        &column(&products, |product| product.price.currency.as_str()) as &[&str],
        &column(&changed, |(event, _)| matches!(event, ProductEvent::Listed(_))),
        &column(&changed, |(_, last)| last.to_i64()),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// The name of a product that can be subscribed to.
pub(crate) async fn listed_name(database: impl PgExecutor<'_>, sku: &Sku) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT name FROM products WHERE sku = $1 AND listed", sku.as_str())
        .fetch_optional(database)
        .await
}

/// Reads a price from its columns.
pub(crate) fn price(amount: i64, currency: &str) -> sqlx::Result<Money> {
    Ok(Money { amount, currency: currency.parse().map_err(undecodable)? })
}
