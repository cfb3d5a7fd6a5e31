//! The way from the message to the shop. The page counts the click by a POST of its own, once it is really seen, and
//! goes on; a GET alone counts nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use events::values::{ClaimHash, SubscriptionId};
use serde::Serialize;
use web::{Path, Problem};

use super::gone;
use crate::api::App;
use crate::notify_me::standing::{click, standing};
use crate::notify_me::tokens::Grant;

#[derive(Serialize)]
struct Page {
    name: String,
    sku: String,
    claim: String,
    /// The shop, with product and claim; `None`: no shop is set.
    shop_link: Option<String>,
}

/// The page that counts the click and goes on to the shop.
#[utoipa::path(get, operation_id = "show_claim", path = "/c/{claim}", params(("claim" = String, Path, description = "From the link in the message")),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Path(claim): Path<String>) -> Result<Response, Problem> {
    let Some(id) = read(&app, &claim) else { return gone(&app) };
    let Some(standing) = standing(app.outbox.pool(), id).await? else { return gone(&app) };
    let shop_link = app.shop.url.as_deref().map(|url| shop_link(url, &standing.sku, &claim));
    let name = standing.name.unwrap_or_else(|| standing.sku.clone());
    app.pages.show(StatusCode::OK, "claim", Page { name, sku: standing.sku, claim, shop_link })
}

/// Counts the click, once.
#[utoipa::path(post, operation_id = "count_click", path = "/c/{claim}", params(("claim" = String, Path, description = "From the link in the message")),
    responses((status = 204),
        (status = 404, description = "The link is none.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Path(claim): Path<String>) -> Result<Response, Problem> {
    if read(&app, &claim).is_none() {
        return gone(&app);
    }
    click(app.outbox.pool(), &ClaimHash::of(&claim)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn read(app: &App, claim: &str) -> Option<SubscriptionId> {
    match app.linker.tokens.read(claim)? {
        Grant::Claim(id) => Some(id),
        _ => None,
    }
}

/// Neither a SKU nor a claim has a character that a query would have to escape. A fragment comes behind the query.
fn shop_link(shop: &str, sku: &str, claim: &str) -> String {
    let (page, fragment) = shop.find('#').map_or((shop, ""), |at| shop.split_at(at));
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}sku={sku}&claim={claim}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sku_and_claim_join_the_query_that_is_there_and_stand_before_a_fragment() {
        for (shop, link) in [
            ("https://shop.example/", "https://shop.example/?sku=PEN&claim=c"),
            ("https://shop.example/p?x=1", "https://shop.example/p?x=1&sku=PEN&claim=c"),
            ("https://shop.example/p#top", "https://shop.example/p?sku=PEN&claim=c#top"),
            ("https://shop.example/#/p?x", "https://shop.example/?sku=PEN&claim=c#/p?x"),
        ] {
            assert_eq!(shop_link(shop, "PEN", "c"), link);
        }
    }
}
