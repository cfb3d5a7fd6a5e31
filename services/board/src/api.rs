//! The pages, their streams of news, and the endpoint behind the buttons.

mod app;
mod assets;
mod board;
mod control;
mod events;
mod html;
mod shop;
mod stream;

use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use app::App;
pub(crate) use control::Control;
pub(crate) use html::{Pages, Site};
pub(crate) use stream::send_frames;

/// The routes of the service. None of them is an API for other programs, so `/openapi.json` lists none.
pub(crate) fn routes(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .route("/", get(shop::shop))
        .route("/products/{sku}", get(shop::product))
        .route("/stock/stream", get(stream::stock))
        .route("/orders/{id}", get(shop::order))
        .route("/orders/{id}/stream", get(stream::order))
        .route("/board", get(board::board))
        .route("/board/stream", get(stream::board))
        .route("/events/{topic}", get(events::of_topic))
        .route("/events/{topic}/{partition}/{offset}", get(events::event))
        .route("/keys/{key}", get(events::of_key))
        .route("/operator", get(board::operator))
        .route("/control", get(control::state).post(control::command))
        .route("/assets/{file}", get(assets::file))
        .with_state(app)
}
