//! Contacts whose address is not stored in the canonical spelling.

use broker::Tx;
use events::values::EmailAddress;
use futures::future::BoxFuture;
use uuid::Uuid;

use super::{BATCH, Last, behind};
use crate::store::deliveries;

/// Writes addresses in canonical form. Two customers may turn out to have one address: each keeps its contact, as the order service
/// publishes each under its id, and an erasure by the address covers both.
pub(super) fn batch<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
    Box::pin(async move {
        let rows = sqlx::query!(
            r#"
            SELECT customer_id, email AS "email!" FROM contacts
            WHERE customer_id > $1 AND email IS NOT NULL
            ORDER BY customer_id LIMIT $2 FOR UPDATE
            "#,
            behind(after),
            BATCH,
        );
        let rows = rows.fetch_all(&mut **tx).await?;
        let last = rows.last().map(|row| row.customer_id.to_string());
        for row in rows {
            match EmailAddress::from_older(&row.email) {
                Ok(canonical) if canonical.expose() == row.email => {}
                Ok(canonical) => write(tx, row.customer_id, Some(canonical.expose())).await?,
                Err(_) => {
                    let customer_id = row.customer_id;
                    tracing::warn!(%customer_id, "contact erased: the stored text is not a valid e-mail address");
                    write(tx, customer_id, None).await?;
                    deliveries::contacts_arrived(tx, &[customer_id]).await?;
                }
            }
        }
        Ok(last)
    })
}

async fn write(tx: &mut Tx, customer: Uuid, email: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE contacts SET email = $2, erased_at = CASE WHEN $2::text IS NULL THEN now() END WHERE customer_id = $1",
        customer,
        email,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
