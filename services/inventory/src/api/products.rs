//! The catalogue: the operator lists and delists products, everyone reads them.

use axum::extract::State;
use axum::http::StatusCode;
use broker::Tx;
use envelope::{Event as _, Sequence};
use events::values::{Given, GivenMoney, Money, ProductName, Sku};
use events::{Product, ProductEvent, StockEvent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Json, Object, Operator, Page, Paging, PagingParams, Path, Problem, Traceparent};

use super::{Api, append, no_such_product};
use crate::domain::Stock;
use crate::store;
use crate::store::products::{Offer, Row};

/// A listed product.
#[derive(Serialize, ToSchema)]
#[schema(as = Product)]
pub(crate) struct ProductView {
    sku: Sku,
    name: ProductName,
    /// The price of one unit.
    price: Money,
    /// The quantity that can be ordered now.
    #[schema(minimum = 0)]
    available: i64,
}

impl From<Offer> for ProductView {
    fn from(Offer { product: Product { sku, name, price }, available }: Offer) -> Self {
        Self { sku, name, price, available }
    }
}

/// A product's name and price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with name and price")]
pub(crate) struct PutProduct {
    #[schema(value_type = ProductName)]
    name: Given<ProductName>,
    #[schema(value_type = Money)]
    price: Object<GivenMoney>,
}

/// Read the catalogue
///
/// All listed products, by SKU.
#[utoipa::path(get, path = "/products", tag = "catalogue", params(PagingParams),
    responses((status = 200, description = "A page of the catalogue.", body = Page<ProductView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    paging: Paging<Sku>,
) -> Result<Json<Page<ProductView>>, Problem> {
    let offers = store::products::list(api.outbox.pool(), paging.after.as_ref(), paging.rows()).await?;
    let page = paging.page(offers, |offer| offer.product.sku.clone());
    Ok(Json(page.map(ProductView::from)))
}

/// Read a product
///
/// 404 when the product is unknown or delisted.
#[utoipa::path(get, path = "/products/{sku}", tag = "catalogue", params(("sku" = Sku, Path)),
    responses((status = 200, description = "The product.", body = ProductView)))]
pub(crate) async fn get(State(api): State<Api>, Path(sku): Path<Sku>) -> Result<Json<ProductView>, Problem> {
    let offer = store::products::find(api.outbox.pool(), &sku).await?;
    Ok(Json(offer.ok_or_else(no_such_product)?.into()))
}

/// List a product, or change it
///
/// A new product has no stock. A delisted product is listed again with its present stock. A repetition changes nothing.
#[utoipa::path(put, path = "/products/{sku}", tag = "catalogue", params(("sku" = Sku, Path)),
    request_body = PutProduct, security(("bearer" = [])),
    responses(
        (status = 200, description = "The product was listed already; its new state.", body = ProductView),
        (status = 201, description = "The product was unknown or delisted, and is listed now.", body = ProductView)))]
pub(crate) async fn put(
    _: Operator,
    State(api): State<Api>,
    Path(sku): Path<Sku>,
    Traceparent(traceparent): Traceparent,
    Json(PutProduct { name: Given(name), price: Object(GivenMoney(price)) }): Json<PutProduct>,
) -> Result<(StatusCode, Json<ProductView>), Problem> {
    let wanted = Product { sku, name, price };
    let mut tx = api.begin().await?;
    let is_new = store::products::insert(&mut tx, &wanted).await?;
    let (was_listed, version) = if is_new {
        store::stock::insert(&mut tx, &[wanted.sku.as_str()]).await?;
        let level = Stock::default().level(wanted.sku.clone());
        append(&mut tx, &traceparent, Sequence::NONE.next(), &StockEvent::Changed(level))?;
        (false, Some(Sequence::NONE.next()))
    } else {
        change(&mut tx, &wanted).await?
    };
    let listed = ProductEvent::Listed(wanted.clone());
    if let Some(version) = version {
        append(&mut tx, &traceparent, version, &listed)?;
    }
    let offer = store::products::find(&mut *tx, &wanted.sku).await?.ok_or_else(no_such_product)?;
    tx.commit().await?;
    if version.is_some() {
        let (event_type, Product { sku, name, price }) = (listed.ce_type(), &wanted);
        tracing::info!(event_type, traceparent, "listed {sku}: {name}, {price}");
    }
    let status = if was_listed { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(offer.into())))
}

/// Changes a known product. Returns whether it was listed, and its new version if anything changed.
async fn change(tx: &mut Tx, wanted: &Product) -> Result<(bool, Option<Sequence>), Problem> {
    let mut row = load(tx, &wanted.sku).await?;
    let was_listed = std::mem::replace(&mut row.listed, true);
    if was_listed && row.product == *wanted {
        return Ok((was_listed, None));
    }
    row.product = wanted.clone();
    row.version = row.version.next();
    let version = row.version;
    store::products::save(tx, &[row]).await?;
    Ok((was_listed, Some(version)))
}

async fn load(tx: &mut Tx, sku: &Sku) -> Result<Row, Problem> {
    store::products::load(tx, &[sku.as_str()]).await?.pop().ok_or_else(no_such_product)
}

/// Delist a product
///
/// A delisted product cannot be ordered. Existing orders and the stock stay. A repetition is 204 too.
#[utoipa::path(delete, path = "/products/{sku}", tag = "catalogue", params(("sku" = Sku, Path)),
    security(("bearer" = [])), responses((status = 204, description = "The product is delisted.")))]
pub(crate) async fn delete(
    _: Operator,
    State(api): State<Api>,
    Path(sku): Path<Sku>,
    Traceparent(traceparent): Traceparent,
) -> Result<StatusCode, Problem> {
    let mut tx = api.begin().await?;
    let mut row = load(&mut tx, &sku).await?;
    if std::mem::replace(&mut row.listed, false) {
        row.version = row.version.next();
        store::products::save(&mut tx, std::slice::from_ref(&row)).await?;
        let (version, delisted) = (row.version, row.into_event());
        append(&mut tx, &traceparent, version, &delisted)?;
        tx.commit().await?;
        tracing::info!(event_type = delisted.ce_type(), traceparent, "delisted {sku}");
    }
    Ok(StatusCode::NO_CONTENT)
}
