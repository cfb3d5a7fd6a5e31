//! The figures of Notify Me.

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::domain::subscription::Status;

/// The figures of a product. `waiting` is the present number; the others count all that ever were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// The product.
    #[schema(value_type = events::values::Sku)]
    pub sku: String,
    /// Subscribers on the waitlist who have not bought it meanwhile.
    waiting: i64,
    /// Notified subscribers: their message was accepted by the mail server where one is set, else by the log.
    notified: i64,
    /// Those who then came to the shop by the link.
    clicked: i64,
    /// Those whose order with the link's claim was confirmed.
    converted: i64,
    /// Those who bought it without the link while waiting or notified, by an order that stands: after a cancellation, the
    /// customer counts as waiting, or notified, again.
    bought: i64,
    /// Units of it in the converted orders.
    units: i64,
}

/// The figures of at most `limit` products after `after`.
pub(crate) async fn figures(pool: &PgPool, after: Option<&str>, limit: i64) -> sqlx::Result<Vec<Figures>> {
    sqlx::query_as!(
        Figures,
        r#"
        SELECT sku, count(*) FILTER (WHERE state = $3 AND bought.subscription_id IS NULL) AS "waiting!",
               count(notified_at) AS "notified!", count(clicked_at) AS "clicked!", count(converted_at) AS "converted!",
               count(COALESCE(bought_at, bought.at)) AS "bought!", COALESCE(sum(units), 0)::bigint AS "units!"
        FROM subscriptions
        LEFT JOIN (
            SELECT subscription_id, min(bought_at) AS at FROM standing_purchases GROUP BY subscription_id
        ) AS bought ON bought.subscription_id = subscriptions.id
        WHERE ($1::text IS NULL OR sku > $1) AND state <> $4
        GROUP BY sku ORDER BY sku LIMIT $2
        "#,
        after,
        limit,
        Status::Waiting.as_str(),
        Status::Merged.as_str(),
    )
    .fetch_all(pool)
    .await
}
