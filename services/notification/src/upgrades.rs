//! Converts rows that an earlier version stored in another form.

mod unite;

use broker::{Failure, Tx};
use chassis::Upgrade;
use events::values::{EmailAddress, ProductName};
use futures::future::BoxFuture;
use uuid::Uuid;

use self::unite::unite;
use crate::store::{deliveries, erasure};

/// In the order in which `migrate` applies them.
pub(crate) const ALL: [Upgrade; 3] = [
    Upgrade { name: "addresses of contacts", batch: contacts },
    Upgrade { name: "addresses of subscriptions", batch: subscriptions },
    Upgrade { name: "names of products", batch: products },
];

/// Rows per transaction.
const BATCH: i64 = 500;

/// The id after which a batch begins.
fn behind(after: Option<&str>) -> Uuid {
    after.and_then(|key| key.parse().ok()).unwrap_or_default()
}

type Last = Result<Option<String>, Failure>;

/// Writes addresses in canonical form. Two customers may turn out to have one address: each keeps its contact, as the order service
/// publishes each under its id, and an erasure by the address covers both.
fn contacts<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
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
                Ok(canonical) => write_contact(tx, row.customer_id, Some(canonical.expose())).await?,
                Err(_) => {
                    let customer_id = row.customer_id;
                    tracing::warn!(%customer_id, "contact erased: the stored text is not a valid e-mail address");
                    write_contact(tx, customer_id, None).await?;
                    deliveries::contacts_arrived(tx, &[customer_id]).await?;
                }
            }
        }
        Ok(last)
    })
}

async fn write_contact(tx: &mut Tx, customer: Uuid, email: Option<&str>) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "UPDATE contacts SET email = $2, erased_at = CASE WHEN $2::text IS NULL THEN now() END WHERE customer_id = $1",
        customer,
        email,
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Writes addresses in canonical form. Two active subscriptions of one address and product are merged.
fn subscriptions<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
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
                    write_subscription(tx, row.id, &row.email, canonical.expose()).await?;
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

async fn write_subscription(tx: &mut Tx, id: Uuid, older: &str, canonical: &str) -> sqlx::Result<()> {
    let query = sqlx::query!(
        "UPDATE subscriptions SET email = $3 WHERE id = $1 AND email = $2",
        id,
        older,
        canonical,
    );
    query.execute(&mut **tx).await.map(drop)
}

/// Removes invisible characters from names, as reading an event does.
fn products<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Last> {
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
