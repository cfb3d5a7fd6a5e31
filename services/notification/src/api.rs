//! The HTTP API: the routes, one file per group of endpoints.

pub(crate) mod app;
mod erase;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod html;
mod inbox;
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
    let mut routes = OpenApiRouter::new()
        .routes(routes!(subscribe::subscribe))
        .routes(routes!(notifications::notifications))
        .routes(routes!(resend::resend))
        .routes(routes!(report::notify_me))
        .routes(routes!(erase::erase))
        .merge(pages::routes());
    if demo_inbox {
        routes = routes.route("/inbox", get(inbox::list)).route("/inbox/{id}", get(inbox::message));
    }
    routes.with_state(app)
}
