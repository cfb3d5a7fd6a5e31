//! The copy of the catalogue: names and prices for messages, and what can be subscribed to.

use std::collections::BTreeMap;

use broker::Tx;
use envelope::Sequence;
use events::values::{Money, Sku};
use events::{Product, ProductEvent};
use sqlx::PgExecutor;

/// The products of a batch.
pub(crate) type Products = BTreeMap<Sku, ProductSnapshot>;

/// What is known of a product.
#[derive(Debug, Default)]
pub(crate) struct ProductSnapshot {
    /// `None`: not heard of yet.
    pub state: Option<ProductEvent>,
    /// The last sequence seen of topic `products`.
    pub seen: Sequence,
}

/// Loads and locks how far these products were read.
pub(crate) async fn load(tx: &mut Tx, skus: &[String]) -> sqlx::Result<Products> {
    let rows = sqlx::query!(
        "SELECT sku, seen_products FROM products WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().filter_map(|row| {
        let seen = Sequence::from_i64(row.seen_products).unwrap_or_default();
        Some((row.sku.parse().ok()?, ProductSnapshot { state: None, seen }))
    });
    Ok(rows.collect())
}

/// Writes what was heard of products; whoever waits for one that is listed again is looked at.
pub(crate) async fn save(tx: &mut Tx, products: &Products) -> sqlx::Result<()> {
    let heard: Vec<(&ProductEvent, Sequence)> =
        products.values().filter_map(|copy| Some((copy.state.as_ref()?, copy.seen))).collect();
    let of = |event: &ProductEvent| -> Product { event.product().clone() };
    let products: Vec<Product> = heard.iter().map(|(event, _)| of(event)).collect();
    let skus: Vec<&str> = products.iter().map(|product| product.sku.as_str()).collect();
    let names: Vec<&str> = products.iter().map(|product| product.name.as_str()).collect();
    let amounts: Vec<i64> = products.iter().map(|product| product.price.amount).collect();
    let currencies: Vec<&str> = products.iter().map(|product| product.price.currency.as_str()).collect();
    let listed: Vec<bool> = heard.iter().map(|(event, _)| matches!(event, ProductEvent::Listed(_))).collect();
    let seen: Vec<i64> = heard.iter().map(|(_, seen)| seen.to_i64()).collect();
    sqlx::query!(
        r#"
        WITH heard AS (
            INSERT INTO products (sku, name, amount, currency, listed, seen_products)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[])
            ON CONFLICT (sku) DO UPDATE
            SET name = excluded.name, amount = excluded.amount, currency = excluded.currency, listed = excluded.listed,
                seen_products = excluded.seen_products
            RETURNING sku, listed
        )
        UPDATE stock SET wave_at = now()
        FROM heard WHERE stock.sku = heard.sku AND heard.listed AND available > 0
        "#,
        &skus as &[&str],
        &names as &[&str],
        &amounts,
        &currencies as &[&str],
        &listed,
        &seen,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a product is called, if it can be subscribed to.
pub(crate) async fn listed_name(database: impl PgExecutor<'_>, sku: &Sku) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT name FROM products WHERE sku = $1 AND listed", sku.as_str())
        .fetch_optional(database)
        .await
}

/// The price of a product, as messages show it.
pub(crate) fn price(amount: i64, currency: &str) -> sqlx::Result<Money> {
    let currency =
        currency.parse().map_err(|error: events::values::Invalid| sqlx::Error::Decode(error.into()))?;
    Ok(Money { amount, currency })
}
