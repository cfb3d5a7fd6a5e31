//! Restocks and stock-takes by the operator.

use axum::extract::State;
use axum::http::StatusCode;
use broker::Tx;
use envelope::Event as _;
use events::StockEvent;
use events::values::{Quantity, Sku};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::idempotency::{self, Answer, Claim};
use web::openapi::Conflict;
use web::{Idempotent, Json, Operator, Path, Problem, Traceparent};

use super::{Api, append, no_such_product};
use crate::domain::{MAX_ON_HAND, Stock};
use crate::store;

/// Goods that came in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with quantity")]
pub(crate) struct Restock {
    quantity: Quantity,
}

/// The stock after a restock.
#[derive(Serialize, ToSchema)]
pub(crate) struct Restocked {
    sku: Sku,
    /// The quantity that can be ordered now.
    #[schema(minimum = 0)]
    available: i64,
}

/// The quantity that a stock-take found, including reserved goods.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with on_hand")]
pub(crate) struct StockTake {
    #[serde(deserialize_with = "countable")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    on_hand: i64,
}

/// The stock after a stock-take.
#[derive(Serialize, ToSchema)]
pub(crate) struct Counted {
    sku: Sku,
    /// The quantity on the shelf.
    on_hand: i64,
    /// The part of it that is reserved for orders.
    reserved: i64,
    /// The other part, which can be ordered now.
    available: i64,
}

fn countable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = i64::deserialize(deserializer)?;
    if (0..=MAX_ON_HAND).contains(&number) {
        Ok(number)
    } else {
        Err(serde::de::Error::custom("must be from 0 to 1,000,000,000,000"))
    }
}

/// Restock a product
///
/// Adds goods that came in. With an `Idempotency-Key`, a repetition gets the first answer and adds nothing; without one
/// each call counts. A delisted product can be restocked too. At most 10¹² units of a product can be on hand.
#[utoipa::path(post, path = "/products/{sku}/restock", tag = "stock",
    params(("sku" = Sku, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Restock, security(("bearer" = [])),
    responses((status = 200, description = "The goods can be ordered.", body = Restocked)))]
pub(crate) async fn restock(
    _: Operator,
    State(api): State<Api>,
    Path(sku): Path<Sku>,
    Traceparent(traceparent): Traceparent,
    Idempotent { value: Restock { quantity }, key }: Idempotent<Restock>,
) -> Result<Answer, Problem> {
    let mut tx = api.begin().await?;
    if let Some(key) = &key {
        match idempotency::claim(&mut tx, &[key]).await.map_err(idempotency::failed)?.pop() {
            Some(Claim::Replay(answer)) => return Ok(answer),
            Some(Claim::OtherBody) => return Err(idempotency::other_body()),
            // A single key cannot be repeated in its own batch.
            Some(Claim::New | Claim::Repeats(_)) | None => {}
        }
    }
    let mut stock = load(&mut tx, &sku).await?;
    stock.restock(quantity).map_err(|full| Problem::invalid("/quantity", full.to_string()))?;
    stock.version = stock.version.next();
    let replenished = StockEvent::Replenished(stock.level(sku.clone()));
    append(&mut tx, &traceparent, stock.version, &replenished)?;
    store::stock::save(&mut tx, &[(&sku, stock)]).await?;
    let available = stock.available();
    let answer = Answer::json(StatusCode::OK, None, &Restocked { sku: sku.clone(), available })?;
    if let Some(key) = &key {
        idempotency::answer(&mut tx, &[(key, &answer)]).await?;
    }
    tx.commit().await?;
    let event_type = replenished.ce_type();
    tracing::info!(event_type, traceparent, "restocked {sku}: {available} available");
    Ok(answer)
}

/// Correct the stock after a stock-take
///
/// 409 when fewer units were found than are reserved for orders. It does not count as a restock, but added units can be
/// ordered at once. A delisted product can be counted too.
#[utoipa::path(put, path = "/products/{sku}/stock", tag = "stock", params(("sku" = Sku, Path)),
    request_body = StockTake, security(("bearer" = [])),
    responses((status = 200, description = "The stock is corrected.", body = Counted),
        (status = 409, response = Conflict)))]
pub(crate) async fn count(
    _: Operator,
    State(api): State<Api>,
    Path(sku): Path<Sku>,
    Traceparent(traceparent): Traceparent,
    Json(StockTake { on_hand }): Json<StockTake>,
) -> Result<Json<Counted>, Problem> {
    let mut tx = api.begin().await?;
    let mut stock = load(&mut tx, &sku).await?;
    let before = stock;
    stock.count(on_hand).map_err(|too_few| Problem::conflict(format!("{too_few}.")))?;
    let available = stock.available();
    if stock != before {
        stock.version = stock.version.next();
        let changed = StockEvent::Changed(stock.level(sku.clone()));
        append(&mut tx, &traceparent, stock.version, &changed)?;
        store::stock::save(&mut tx, &[(&sku, stock)]).await?;
        tx.commit().await?;
        let event_type = changed.ce_type();
        tracing::info!(event_type, traceparent, "counted {sku}: {on_hand} on hand, {available} available");
    }
    Ok(Json(Counted { sku, on_hand, reserved: stock.reserved, available }))
}

async fn load(tx: &mut Tx, sku: &Sku) -> Result<Stock, Problem> {
    let shelves = store::stock::load(tx, &[sku.as_str()]).await?;
    shelves.0.get(sku).copied().ok_or_else(no_such_product)
}
