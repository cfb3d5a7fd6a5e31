//! The page between a message and the shop. A script counts the click by a POST once the page is visible, and goes on to the shop;
//! a GET alone counts nothing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use events::values::ClaimHash;
use serde::Serialize;
use web::{Path, Problem};

use super::{Product, invalid_link};
use crate::api::app::App;
use crate::domain::tokens::Grant;
use crate::store::subscriptions::{click, find};

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    product: Product,
    claim: String,
    /// The shop, with product and claim; `None` while `SHOP_URL` is not set.
    shop_link: Option<String>,
}

/// Shows the page that counts the click and goes on to the shop.
#[utoipa::path(get, operation_id = "show_claim", path = "/c/{claim}", params(("claim" = String, Path, description = "From the link in the message")),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 404, description = "The link is not valid.", content_type = "text/html", body = String)))]
pub(super) async fn show(State(app): State<App>, Path(claim): Path<String>) -> Result<Response, Problem> {
    let Some(Grant::Claim(id)) = app.tokens.read(&claim) else { return invalid_link(&app) };
    let Some(subscription) = find(app.outbox.pool(), id).await? else { return invalid_link(&app) };
    let shop_link = app.shop.url.as_deref().map(|url| shop_link(url, &subscription.sku, &claim));
    app.pages.show("claim", Page { product: Product::of(&subscription), claim, shop_link })
}

/// Counts the click, once.
#[utoipa::path(post, operation_id = "count_click", path = "/c/{claim}", params(("claim" = String, Path, description = "From the link in the message")),
    responses((status = 204),
        (status = 404, description = "The link is not valid.", content_type = "text/html", body = String)))]
pub(super) async fn act(State(app): State<App>, Path(claim): Path<String>) -> Result<Response, Problem> {
    let Some(Grant::Claim(_)) = app.tokens.read(&claim) else { return invalid_link(&app) };
    click(app.outbox.pool(), &ClaimHash::of(&claim)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// No character of a SKU or a claim needs escaping in a query. A fragment follows the query.
fn shop_link(shop: &str, sku: &str, claim: &str) -> String {
    let (page, fragment) = shop.find('#').map_or((shop, ""), |at| shop.split_at(at));
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{joint}sku={sku}&claim={claim}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sku_and_claim_join_an_existing_query_and_precede_a_fragment() {
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
