//! `/docs`: the API description as a web page (Swagger UI, served from the binary).

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::{Path, Problem};

/// The content security policy of the page: only its own scripts. Swagger UI sets styles on elements and has pictures
/// in its style sheet, and "Try it out" calls the service itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
);

/// The routes `/openapi.json` and `/docs`, the page that shows it.
pub(crate) fn routes(api: OpenApi) -> Router {
    let title = Arc::new(api.info.title.clone());
    // Without this, a badge on the page would call a validator on the internet.
    let config = Arc::new(Config::from("/openapi.json").validator_url("none"));
    // The page refers to its files relative to its own path.
    let page = |place: &'static str| {
        let (title, config) = (Arc::clone(&title), Arc::clone(&config));
        routing::get(async move || page(place, &title, config))
    };
    let described = Json(api);
    Router::new()
        .route("/openapi.json", routing::get(async move || described.clone()))
        .route("/docs", page("./docs/"))
        .route("/docs/", page("./"))
        .route(
            "/docs/{*file}",
            routing::get(async move |Path(name): Path<String>| file(&name, config.clone())),
        )
        .layer(axum::middleware::map_response(with_policy))
}

async fn with_policy(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

fn page(place: &str, title: &str, config: Arc<Config<'static>>) -> Response {
    let Ok(Some(index)) = utoipa_swagger_ui::serve("index.html", config) else {
        return Problem::internal().into_response();
    };
    let html = String::from_utf8_lossy(&index.bytes)
        .replace("\"index.css\"", "\"./index.css\"")
        .replace("\"./", &format!("\"{place}"));
    axum::response::Html(html.replace("<title>Swagger UI", &format!("<title>{title}"))).into_response()
}

fn file(name: &str, config: Arc<Config<'static>>) -> Response {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(name, config) else {
        return Problem::not_found("No such file; the page is /docs.").into_response();
    };
    let mut response = ([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response();
    if file.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
