//! Names of products with invisible characters.

use broker::Tx;
use events::values::ProductName;
use futures::future::BoxFuture;

use super::{BATCH, Last};

/// Removes invisible characters from names, as reading an event does.
pub(super) fn batch<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
    Box::pin(async move {
        let rows = sqlx::query!(
            "SELECT sku, name FROM products WHERE sku > $1 ORDER BY sku LIMIT $2 FOR UPDATE",
            after.unwrap_or_default(),
            BATCH,
        );
        let rows = rows.fetch_all(&mut **tx).await?;
        let last = rows.last().map(|row| row.sku.clone());
        for row in rows {
            let Ok(name) = row.name.parse::<ProductName>() else { continue };
            if name.as_str() != row.name {
                sqlx::query!("UPDATE products SET name = $2 WHERE sku = $1", row.sku, name.as_str())
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Ok(last)
    })
}
