//! What came of telling people: the operator's figures, a row a product.

use axum::extract::State;
use events::values::Sku;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use web::{Json, Operator, Page, Paging, PagingParams, Problem};

use crate::api::App;

/// The figures of a product. `waiting` is now; the others count all that ever were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// The product.
    #[schema(value_type = Sku)]
    sku: String,
    /// Who waits now, and has not bought it meanwhile.
    waiting: i64,
    /// Who was told: accepted by the mail server where one is set, else by the log.
    notified: i64,
    /// Who then came to the shop by the link.
    clicked: i64,
    /// Whose order with the link's claim was confirmed.
    converted: i64,
    /// Who bought it without the link while waiting or told, by an order that stands: a cancelled one makes its customer
    /// count as waiting, or told, again.
    bought: i64,
    /// How many the converted orders have of it.
    units: i64,
}

/// Notify Me by product: who waits, who was told, and what came of it.
#[utoipa::path(get, path = "/reports/notify-me", params(PagingParams), security(("bearer" = [])),
    responses((status = 200, body = Page<Figures>)))]
pub(crate) async fn notify_me(
    _operator: Operator,
    State(app): State<App>,
    paging: Paging<String>,
) -> Result<Json<Page<Figures>>, Problem> {
    let rows = figures(app.outbox.pool(), paging.after.as_deref(), paging.rows()).await?;
    Ok(Json(paging.page(rows, |row| row.sku.clone())))
}

async fn figures(pool: &PgPool, after: Option<&str>, limit: i64) -> sqlx::Result<Vec<Figures>> {
    sqlx::query_as!(
        Figures,
        r#"
        SELECT sku, count(*) FILTER (WHERE state = 'waiting' AND bought.subscription_id IS NULL) AS "waiting!",
               count(notified_at) AS "notified!", count(clicked_at) AS "clicked!", count(converted_at) AS "converted!",
               count(COALESCE(bought_at, bought.at)) AS "bought!", COALESCE(sum(units), 0)::bigint AS "units!"
        FROM subscriptions
        LEFT JOIN (
            SELECT subscription_id, min(bought_at) AS at FROM standing_purchases GROUP BY subscription_id
        ) AS bought ON bought.subscription_id = subscriptions.id
        WHERE ($1::text IS NULL OR sku > $1) AND state <> 'merged'
        GROUP BY sku ORDER BY sku LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}
