//! The catalogue.

use broker::Keys;
use broker::columns::{column, sequence, undecodable};
use envelope::Sequence;
use events::values::{Money, Sku};
use events::{Product, ProductEvent};
use sqlx::{PgConnection, PgExecutor};

use super::bounds;

/// A product's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) product: Product,
    pub(crate) listed: bool,
    /// The sequence of the last event published of the product.
    pub(crate) version: Sequence,
}

impl Row {
    /// The row that an event describes.
    pub(crate) fn of(event: &ProductEvent, version: Sequence) -> Self {
        Self { product: event.product().clone(), listed: event.is_listed(), version }
    }

    /// The event that describes the row.
    pub(crate) fn into_event(self) -> ProductEvent {
        if self.listed { ProductEvent::Listed(self.product) } else { ProductEvent::Delisted(self.product) }
    }
}

/// A listed product.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) product: Product,
    /// The quantity that can be ordered.
    pub(crate) available: i64,
}

fn product(sku: String, name: String, amount: i64, currency: &str) -> sqlx::Result<Product> {
    Ok(Product {
        sku: sku.try_into().map_err(undecodable)?,
        name: name.try_into().map_err(undecodable)?,
        price: Money::new(amount, currency).map_err(undecodable)?,
    })
}

/// Finds a listed product.
pub(crate) async fn find(executor: impl PgExecutor<'_>, sku: &Sku) -> sqlx::Result<Option<Offer>> {
    let row = sqlx::query!(
        r#"
        SELECT sku, name, amount, currency, on_hand - reserved AS "available!"
        FROM products JOIN stock USING (sku)
        WHERE sku = $1 AND listed
        "#,
        sku.as_str(),
    );
    let offer = row.fetch_optional(executor).await?.map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        Ok(Offer { product, available: row.available })
    });
    offer.transpose()
}

/// Lists the listed products after `after`, by SKU.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    after: Option<&Sku>,
    limit: i64,
) -> sqlx::Result<Vec<Offer>> {
    let rows = sqlx::query!(
        r#"
        SELECT sku, name, amount, currency, on_hand - reserved AS "available!"
        FROM products JOIN stock USING (sku)
        WHERE listed AND sku > $1
        ORDER BY sku
        LIMIT $2
        "#,
        after.map_or("", Sku::as_str),
        limit,
    );
    let offers = rows.fetch_all(executor).await?.into_iter().map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        Ok(Offer { product, available: row.available })
    });
    offers.collect()
}

/// Inserts a product; `false` when it exists already.
pub(crate) async fn insert(connection: &mut PgConnection, product: &Product) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO products (sku, name, amount, currency, listed, version) VALUES ($1, $2, $3, $4, true, 1)
         ON CONFLICT DO NOTHING",
        product.sku.as_str(),
        product.name.as_str(),
        product.price.amount,
        product.price.currency.as_str(),
    );
    Ok(inserted.execute(connection).await?.rows_affected() == 1)
}

/// Loads the existing products of `skus`, listed or not, locked in the order of their SKUs.
pub(crate) async fn load(connection: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        "SELECT sku, name, amount, currency, listed, version FROM products
         WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus as &[&str],
    );
    let rows = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        Ok(Row { product, listed: row.listed, version: sequence(row.version) })
    });
    rows.collect()
}

/// Inserts or updates products, sorted by SKU.
pub(crate) async fn save(connection: &mut PgConnection, rows: &[Row]) -> sqlx::Result<()> {
    let saved = sqlx::query!(
        r#"
        INSERT INTO products (sku, name, amount, currency, listed, version)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[])
        ON CONFLICT (sku) DO UPDATE
        SET name = excluded.name, amount = excluded.amount, currency = excluded.currency, listed = excluded.listed,
            version = excluded.version
        "#,
        &column(rows, |row| row.product.sku.as_str()) as &[&str],
        &column(rows, |row| row.product.name.as_str()) as &[&str],
        &column(rows, |row| row.product.price.amount),
        &column(rows, |row| row.product.price.currency.as_str()) as &[&str],
        &column(rows, |row| row.listed),
        &column(rows, |row| row.version.to_i64()),
    );
    saved.execute(connection).await?;
    Ok(())
}

/// Increments the versions of products, locked in the order of their SKUs, and returns the events that publish their state
/// again.
pub(crate) async fn increment_versions(
    connection: &mut PgConnection,
    keys: Keys<'_>,
) -> sqlx::Result<Vec<(Sequence, ProductEvent)>> {
    let (one, after, limit) = bounds(keys);
    let rows = sqlx::query!(
        r#"
        WITH locked AS (
            SELECT sku FROM products
            WHERE ($1::text IS NULL OR sku = $1) AND sku > $2
            ORDER BY sku LIMIT $3 FOR UPDATE
        ), raised AS (
            UPDATE products SET version = version + 1 FROM locked WHERE products.sku = locked.sku
            RETURNING products.*
        )
        SELECT sku AS "sku!", name AS "name!", amount AS "amount!", currency AS "currency!",
               listed AS "listed!", version AS "version!"
        FROM raised ORDER BY sku
        "#,
        one,
        after,
        limit,
    );
    let states = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        let row = Row { product, listed: row.listed, version: sequence(row.version) };
        Ok((row.version, row.into_event()))
    });
    states.collect()
}
