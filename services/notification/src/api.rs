//! The HTTP API: the routes, one file per group of endpoints.

pub(crate) mod app;
mod erase;
pub(crate) mod html;
pub(crate) mod limits;
mod notifications;
mod pages;
mod report;
mod resend;
mod subscribe;

use axum::http::{Method, StatusCode, header};
use axum::routing::options;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Origins;

use self::app::App;

/// The routes of the service. Pages of `origins` may post the form.
pub(crate) fn routes(app: App, origins: &Origins) -> OpenApiRouter {
    let mut form = OpenApiRouter::new().routes(routes!(subscribe::subscribe));
    if !origins.is_empty() {
        // The layer answers a browser's preflight by itself, where there is a route for it.
        form = form
            .route("/subscriptions", options(async || StatusCode::NO_CONTENT))
            .layer(origins.layer(&[Method::POST], &[header::CONTENT_TYPE]));
    }
    OpenApiRouter::new()
        .routes(routes!(notifications::notifications))
        .routes(routes!(resend::resend))
        .routes(routes!(report::notify_me))
        .routes(routes!(erase::erase))
        .merge(pages::routes())
        .merge(form)
        .with_state(app)
}
