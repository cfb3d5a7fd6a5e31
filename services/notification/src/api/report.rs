//! `GET /reports/notify-me`

use axum::extract::State;
use web::{Json, Operator, Page, Paging, PagingParams, Problem};

use super::app::App;
use crate::store::report::{Figures, figures};

/// Returns the figures of Notify Me, one row per product: subscribers who wait, who were notified, and what came of it.
#[utoipa::path(get, path = "/reports/notify-me", params(PagingParams), security(("bearer" = [])),
    responses((status = 200, body = Page<Figures>)))]
pub(super) async fn notify_me(
    _operator: Operator,
    State(app): State<App>,
    paging: Paging<String>,
) -> Result<Json<Page<Figures>>, Problem> {
    let rows = figures(app.outbox.pool(), paging.after.as_deref(), paging.rows()).await?;
    Ok(Json(paging.page(rows, |row| row.sku.clone())))
}
