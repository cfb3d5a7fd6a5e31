//! The operator's list of deliveries.

use events::values::{EmailAddress, OrderId, Sku};
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::content::Content;

/// Which deliveries are asked for.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub order_id: Option<OrderId>,
    pub sku: Option<Sku>,
    pub kind: Option<&'static str>,
    pub status: Option<&'static str>,
}

/// A delivery as the list shows it.
#[derive(Debug)]
pub(crate) struct Row {
    pub id: Uuid,
    pub content: Json<Content>,
    pub channel: String,
    pub status: String,
    pub attempts: i32,
    pub cause: Option<String>,
    pub created_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    email: Option<String>,
}

impl Row {
    /// The recipient, masked; `None` when not known (yet, or any more).
    pub(crate) fn recipient(&self) -> Option<String> {
        let address: Option<EmailAddress> =
            self.email.as_ref().and_then(|email| EmailAddress::from_older(email).ok());
        address.map(|address| address.masked())
    }
}

/// At most `limit` deliveries, the newest first, from before `before`.
pub(crate) async fn deliveries(
    pool: &PgPool,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
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
        filter.status,
        before,
        limit,
    )
    .fetch_all(pool)
    .await
}
