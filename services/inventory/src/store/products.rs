//! The catalogue.

use broker::Keys;
use envelope::Sequence;
use events::values::{Money, Sku};
use events::{Product, ProductEvent};
use sqlx::{PgConnection, PgExecutor};

use super::{bounds, sequence, unreadable};

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
        let listed = match event {
            ProductEvent::Listed(_) => true,
            ProductEvent::Delisted(_) => false,
        };
        Self { product: event.product().clone(), listed, version }
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

/// Reads a product from its columns.
fn product(sku: String, name: String, amount: i64, currency: &str) -> sqlx::Result<Product> {
    Ok(Product {
        sku: sku.try_into().map_err(unreadable)?,
        name: name.try_into().map_err(unreadable)?,
        price: Money { amount, currency: currency.parse().map_err(unreadable)? },
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
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        Ok(Offer { product, available: row.available })
    })
    .transpose()
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
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|row| {
            let product = product(row.sku, row.name, row.amount, &row.currency)?;
            Ok(Offer { product, available: row.available })
        })
        .collect()
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
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Loads a product, listed or not, locked.
pub(crate) async fn load(connection: &mut PgConnection, sku: &Sku) -> sqlx::Result<Option<Row>> {
    let row = sqlx::query!(
        "SELECT sku, name, amount, currency, listed, version FROM products WHERE sku = $1 FOR UPDATE",
        sku.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let product = product(row.sku, row.name, row.amount, &row.currency)?;
        Ok(Row { product, listed: row.listed, version: sequence(row.version) })
    })
    .transpose()
}

/// Loads the existing products of `skus`, listed or not, locked in the order of their SKUs.
pub(crate) async fn load_all(connection: &mut PgConnection, skus: &[&str]) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        "SELECT sku, name, amount, currency, listed, version FROM products
         WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        skus as &[&str],
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let product = product(row.sku, row.name, row.amount, &row.currency)?;
            Ok(Row { product, listed: row.listed, version: sequence(row.version) })
        })
        .collect()
}

/// Inserts or updates products as they were published, sorted by SKU. A new product gets an empty stock row.
pub(crate) async fn restore(connection: &mut PgConnection, rows: &[Row]) -> sqlx::Result<()> {
    let skus: Vec<&str> = rows.iter().map(|row| row.product.sku.as_str()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.product.name.as_str()).collect();
    let amounts: Vec<i64> = rows.iter().map(|row| row.product.price.amount).collect();
    let currencies: Vec<&str> = rows.iter().map(|row| row.product.price.currency.as_str()).collect();
    let listed: Vec<bool> = rows.iter().map(|row| row.listed).collect();
    let versions: Vec<i64> = rows.iter().map(|row| row.version.to_i64()).collect();
    sqlx::query!(
        r#"
        INSERT INTO products (sku, name, amount, currency, listed, version)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[])
        ON CONFLICT (sku) DO UPDATE
        SET name = excluded.name, amount = excluded.amount, currency = excluded.currency, listed = excluded.listed,
            version = excluded.version
        "#,
        &skus as &[&str],
        &names as &[&str],
        &amounts,
        &currencies as &[&str],
        &listed,
        &versions,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO stock (sku, version) SELECT sku, 1 FROM unnest($1::text[]) AS told (sku) ON CONFLICT DO NOTHING",
        &skus as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a product, which is locked.
pub(crate) async fn save(connection: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE products SET name = $2, amount = $3, currency = $4, listed = $5, version = $6 WHERE sku = $1",
        row.product.sku.as_str(),
        row.product.name.as_str(),
        row.product.price.amount,
        row.product.price.currency.as_str(),
        row.listed,
        row.version.to_i64(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Increments the versions of products, locked in the order of their SKUs, so that their state is published again.
pub(crate) async fn increment_versions(
    connection: &mut PgConnection,
    keys: Keys<'_>,
) -> sqlx::Result<Vec<Row>> {
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
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let product = product(row.sku, row.name, row.amount, &row.currency)?;
            Ok(Row { product, listed: row.listed, version: sequence(row.version) })
        })
        .collect()
}
