//! The pages behind the links in messages. Only POST acts, so a mail scanner that follows links changes nothing; a mail program's
//! one-click POST (RFC 8058) is answered like a person's.

mod claim;
mod confirm;
mod join;
mod refuse;
mod unsubscribe;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Problem;

use super::app::App;
use crate::store::subscriptions::Subscription;

/// The routes of the pages.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(confirm::show, confirm::act))
        .routes(routes!(unsubscribe::show, unsubscribe::act))
        .routes(routes!(refuse::show_all, refuse::act_all))
        .routes(routes!(refuse::show_lift, refuse::act_lift))
        .routes(routes!(join::show, join::act))
        .routes(routes!(claim::show, claim::act))
}

/// The query of a link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Link {
    /// The token of the link in the message.
    #[serde(default)]
    token: String,
}

/// The product and quantity that a page shows.
#[derive(Debug, serde::Serialize)]
struct Product {
    name: String,
    sku: String,
    quantity: i64,
}

impl Product {
    fn of(subscription: &Subscription) -> Self {
        Self {
            name: subscription.name.clone().unwrap_or_else(|| subscription.sku.clone()),
            sku: subscription.sku.clone(),
            quantity: subscription.quantity.into(),
        }
    }
}

/// The page for a link that is not valid, or not valid any more.
fn invalid_link(app: &App) -> Result<Response, Problem> {
    app.pages.render(StatusCode::NOT_FOUND, "gone", (), "")
}
