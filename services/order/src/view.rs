//! The API's answers: an order, and the problem of a failed transaction. Every caller who knows an order's id may read it, so
//! it holds no address.

use broker::Failure;
use events::values::{CustomerId, Money, OrderId};
use events::{CancelReason, Item};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::Problem;

use crate::domain::{Entry, Order, Payment, Stock};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderView<'a> {
    id: OrderId,
    /// The customer; only for the operator. All orders of an address have the same customer, so a guest who places an order in
    /// another person's name would learn whether that person ordered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CustomerId, required = false)]
    customer_id: Option<CustomerId>,
    /// Placed, then confirmed or cancelled; a confirmed order can still be cancelled.
    #[schema(value_type = String, pattern = "^(placed|confirmed|cancelled)$", example = "placed")]
    status: &'static str,
    /// The reason of the cancellation.
    #[schema(required)]
    reason: Option<CancelReason>,
    /// The state of the payment; ends as captured, declined, voided or refunded.
    payment: Payment,
    /// The state of the stock reservation; ends as committed, rejected or released.
    stock: Stock,
    /// The items, each SKU once, with the prices at the time of the order.
    items: &'a [Item],
    /// The sum of the items.
    total: Money,
    #[serde(with = "time::serde::rfc3339")]
    placed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// The events of the order that this service published or consumed, oldest first.
    history: &'a [Entry],
}

/// The answer to `POST /orders`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted<'a> {
    #[serde(flatten)]
    order: OrderView<'a>,
    /// Allows its bearer to cancel the order: `Authorization: Bearer <cancel_token>`. Only this answer has it.
    cancel_token: String,
}

impl<'a> OrderView<'a> {
    /// The public view of an order with its whole history.
    pub(crate) fn of(order: &'a Order) -> Self {
        Self {
            id: order.id(),
            customer_id: None,
            status: <&str>::from(order.state.status),
            reason: order.reason(),
            payment: order.state.payment,
            stock: order.state.stock,
            items: &order.placed.items,
            total: order.placed.total,
            placed_at: order.placed.placed_at,
            updated_at: order.updated_at,
            history: &order.entries,
        }
    }

    pub(crate) fn for_operator(order: &'a Order) -> Self {
        Self { customer_id: Some(order.placed.customer_id), ..Self::of(order) }
    }
}

/// Turns the bytes of an [`OrderView`] into those of an [`Accepted`]. The token is not stored, so it is added to the stored
/// bytes each time the answer is sent; the result is the same, byte for byte.
pub(crate) fn with_cancel_token(mut order: Vec<u8>, token: &str) -> Vec<u8> {
    if order.pop() != Some(b'}') {
        tracing::error!("a stored answer is not a JSON object");
    }
    order.extend_from_slice(b",\"cancel_token\":\"");
    order.extend_from_slice(token.as_bytes());
    order.extend_from_slice(b"\"}");
    order
}

/// Returns the answer to a failed transaction.
pub(crate) fn problem(failure: Failure) -> Problem {
    match failure {
        Failure::Busy(error) => error.into(),
        Failure::Retry(error) => {
            tracing::error!(%error, "the database did not answer");
            Problem::unavailable(
                "The database does not answer at the moment. Try again; with an Idempotency-Key nothing happens twice.",
            )
        }
        Failure::Record { cause, .. } | Failure::SomeRecord(cause) => {
            tracing::error!(cause, "the database refused a valid request");
            Problem::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tests::placed;

    #[test]
    fn the_token_is_added_as_serde_would_write_it() {
        let (order, _) = Order::place(placed());
        let stored = serde_json::to_vec(&OrderView::of(&order)).unwrap();
        let cancel_token = "T0ken-_".to_owned();
        let accepted = serde_json::to_vec(&Accepted { order: OrderView::of(&order), cancel_token }).unwrap();
        assert_eq!(with_cancel_token(stored, "T0ken-_"), accepted);
    }

    #[test]
    fn the_view_has_the_documented_fields() {
        let (order, _) = Order::place(placed());
        let json = serde_json::to_value(OrderView::of(&order)).unwrap();
        let mut expected = serde_json::json!({
            "id": order.id(), "status": "placed", "reason": null,
            "payment": "pending", "stock": "pending",
            "items": [{"sku": "MUG", "name": "Mug", "quantity": 2, "unit_price": {"amount": 500, "currency": "EUR"}}],
            "total": {"amount": 1000, "currency": "EUR"},
            "placed_at": "1970-01-01T00:00:00Z", "updated_at": "1970-01-01T00:00:00Z",
            "history": [{"type": "order.placed.v1", "at": "1970-01-01T00:00:00Z"}],
        });
        assert_eq!(json, expected);
        expected["customer_id"] = serde_json::json!(order.placed.customer_id);
        assert_eq!(serde_json::to_value(OrderView::for_operator(&order)).unwrap(), expected);
    }
}
