//! The operator's list of deliveries.

use events::values::{EmailAddress, OrderId, Sku};
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::undecodable;
use crate::domain::content::Content;
use crate::domain::delivery::Status;

/// The filters of the list; a row matches all that are set.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub order_id: Option<OrderId>,
    pub sku: Option<Sku>,
    pub kind: Option<&'static str>,
    pub status: Option<Status>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub id: Uuid,
    pub content: Json<Content>,
    pub channel: String,
    pub status: Status,
    pub attempts: i32,
    pub cause: Option<String>,
    pub created_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    email: Option<String>,
}

impl Row {
    /// The recipient, masked; `None` while the address is not known, and after an erasure.
    pub(crate) fn recipient(&self) -> Option<String> {
        let address = EmailAddress::from_older(self.email.as_deref()?).ok()?;
        Some(address.masked())
    }
}

/// At most `limit` deliveries, the newest first, older than `before`.
pub(crate) async fn deliveries(
    pool: &PgPool,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let mut transaction = pool.begin().await?;
    // The plan depends on the filters that are set: unlike other statements, this one is planned with its values.
    sqlx::query("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *transaction).await?;
    let rows = sqlx::query!(
        r#"
        SELECT deliveries.id, data AS "content: Json<Content>", channel, status, attempts, cause,
               deliveries.created_at, finished_at,
               COALESCE(subscriptions.email, contacts.email) AS "email?"
        FROM deliveries
        LEFT JOIN subscriptions ON subscriptions.id = subscription_id
        LEFT JOIN orders ON orders.order_id = deliveries.order_id AND deliveries.customer_id IS NULL
        LEFT JOIN contacts ON contacts.customer_id = COALESCE(deliveries.customer_id, orders.customer_id)
        WHERE ($1::uuid IS NULL OR deliveries.order_id = $1)
          AND ($2::text IS NULL OR deliveries.sku = $2)
          AND ($3::text IS NULL OR kind = $3)
          AND ($4::text IS NULL OR status = $4)
          AND ($5::uuid IS NULL OR deliveries.id < $5)
        ORDER BY deliveries.id DESC
        LIMIT $6
        "#,
        filter.order_id.map(OrderId::uuid),
        filter.sku.as_ref().map(Sku::as_str),
        filter.kind,
        filter.status.map(Status::as_str),
        before,
        limit,
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let rows = rows.into_iter().map(|row| {
        Ok(Row {
            id: row.id,
            content: row.content,
            channel: row.channel,
            status: row.status.parse().map_err(undecodable)?,
            attempts: row.attempts,
            cause: row.cause,
            created_at: row.created_at,
            finished_at: row.finished_at,
            email: row.email,
        })
    });
    rows.collect()
}
