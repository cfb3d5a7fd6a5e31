//! The pages behind the links in messages. GET shows, only POST acts, so that a mail scanner that follows links changes
//! nothing; a mail program's one-click POST (RFC 8058) is answered like a person's.

mod claim;
mod confirm;
mod join;
mod refuse;
mod render;
mod unsubscribe;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Problem;

pub(crate) use render::Pages;

use crate::api::App;

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

/// What a link carries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Link {
    /// The token of the link in the message.
    #[serde(default)]
    token: String,
}

/// What the pages say of a product.
#[derive(Debug, serde::Serialize)]
struct About {
    name: String,
    sku: String,
    quantity: i64,
}

impl About {
    fn of(standing: &super::standing::Standing) -> Self {
        Self {
            name: standing.name.clone().unwrap_or_else(|| standing.sku.clone()),
            sku: standing.sku.clone(),
            quantity: standing.quantity.into(),
        }
    }
}

/// The link was not made here, or what it was for is over.
fn gone(app: &App) -> Result<Response, Problem> {
    app.pages.show(StatusCode::NOT_FOUND, "gone", ())
}
