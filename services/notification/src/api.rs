//! The HTTP API: the routes, one file per group of endpoints.

pub(crate) mod app;
mod erase;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod html;
mod inbox;
pub(crate) mod limits;
mod notifications;
mod pages;
mod report;
mod resend;
mod subscribe;

use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::app::App;

/// The routes of the service; the inbox only in a demonstration.
pub(crate) fn routes(app: App, demo_inbox: bool) -> OpenApiRouter {
    let inbox = if demo_inbox { inbox_routes() } else { OpenApiRouter::new() };
    OpenApiRouter::new()
        .routes(routes!(subscribe::subscribe))
        .routes(routes!(notifications::notifications))
        .routes(routes!(resend::resend))
        .routes(routes!(report::notify_me))
        .routes(routes!(erase::erase))
        .merge(pages::routes())
        .merge(inbox)
        .with_state(app)
}

fn inbox_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().route("/inbox", get(inbox::list)).route("/inbox/{id}", get(inbox::message))
}
