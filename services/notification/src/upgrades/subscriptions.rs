//! Subscriptions whose address stands in another spelling than the canonical one.

use broker::Tx;
use events::values::EmailAddress;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::{BATCH, Last, behind};
use crate::notify_me::erasure;
use crate::notify_me::unite::unite;

/// Writes addresses in canonical form. Where an address turns out to have two active subscriptions of one product, one is
/// merged into the other.
pub(super) fn batch<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
    Box::pin(async move {
        // Unlocked: the locks of what changes are taken in the order of `notify_me::subscriptions`, one by one.
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
                    tracing::warn!(%subscription_id, "subscription erased: what was stored is no e-mail address by today's rules");
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
