//! Scripts and style sheets, compiled into the program: the board needs no other server.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use web::{Path, Problem};

macro_rules! assets {
    ($($name:literal $file:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../assets/", $file)).as_slice())),*]
    };
}

const FILES: &[(&str, &[u8])] = assets![
    "style.css" "style.css",
    "shop.js" "shop.js",
    "board.js" "board.js",
    "tour.js" "tour.js",
    "operator.js" "operator.js",
    "icon.svg" "icon.svg",
    "htmx.js" "vendor/htmx-4.0.1.min.js",
    "hx-sse.js" "vendor/hx-sse-4.0.1.min.js",
    "uplot.js" "vendor/uPlot-1.6.32.iife.min.js",
    "uplot.css" "vendor/uPlot-1.6.32.min.css",
];

/// `GET /assets/{file}`
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(file, _)| *file == name);
    let (name, bytes) = found.ok_or_else(|| Problem::not_found("There is no such file."))?;
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    // An update reaches browsers within minutes; none needs a build step that renames files.
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=120")];
    Ok((StatusCode::OK, headers, *bytes).into_response())
}
