//! Subscriptions whose address is not stored in the canonical spelling.

use broker::Tx;
use events::values::EmailAddress;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::unite::unite;
use super::{BATCH, Last, behind};
use crate::store::erasure;

/// Writes addresses in canonical form. Two active subscriptions of one address and product are merged.
pub(super) fn batch<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
    Box::pin(async move {
        // Unlocked: the rows that change are locked one by one, in the order of `store`.
        let rows = sqlx::query!(
            r#"
            SELECT id, email AS "email!", sku FROM subscriptions
            WHERE id > $1 AND email IS NOT NULL ORDER BY id LIMIT $2
            "#,
            behind(after),
            BATCH,
        );
        let rows = rows.fetch_all(&mut **tx).await?;
        let last = rows.last().map(|row| row.id.to_string());
        for row in rows {
            match EmailAddress::from_older(&row.email) {
                Ok(canonical) if canonical.expose() == row.email => {}
                Ok(canonical) => {
                    unite(tx, row.id, canonical.expose(), &row.sku).await?;
                    write(tx, row.id, &row.email, canonical.expose()).await?;
                }
                Err(_) => {
                    let subscription_id = row.id;
                    tracing::warn!(%subscription_id, "subscription erased: the stored text is not a valid e-mail address");
                    erasure::erase(tx, &[row.email.as_str()], &[]).await?;
                }
            }
        }
        Ok(last)
    })
}

async fn write(tx: &mut Tx, id: Uuid, older: &str, canonical: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE subscriptions SET email = $3 WHERE id = $1 AND email = $2", id, older, canonical,)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
