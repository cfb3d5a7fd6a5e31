//! Changes of what clients saw, and of the rows of orders.

use checker::{Call, History, Request};
use serde_json::{Value, json};

use super::{Tampering, acknowledged, by, confirmed, event, first, replace};

pub(crate) const TAMPERED: &[Tampering] = &[
    by("acknowledged-orders-exist", "an acknowledged order is lost", |history| {
        let id = acknowledged(history).json()["id"].clone();
        history.tables.orders.retain(|row| row.id.to_string() != id);
    }),
    by("acknowledged-orders-exist", "an order has another total than its answer", |history| {
        let call = acknowledged(history);
        alter(call, |order| order["total"]["amount"] = json!(1));
    }),
    by("acknowledged-orders-exist", "an order has other items than its answer", |history| {
        let id = acknowledged(history).json()["id"].clone();
        first(&mut history.tables.orders, |row| row.id.to_string() == id).items.clear();
    }),
    by("one-order-per-idempotency-key", "a repeated request gets another order", |history| {
        let mut again = acknowledged(history).clone();
        alter(&mut again, |order| order["id"] = json!("0198c0de-0000-7000-8000-000000000001"));
        history.calls.push(again);
    }),
    by("one-order-per-idempotency-key", "a repeated request gets another answer", |history| {
        let mut again = acknowledged(history).clone();
        again.answer.push(' ');
        history.calls.push(again);
    }),
    by("every-order-was-requested", "a request made two orders", |history| {
        let mut copy = confirmed(history).clone();
        copy.id = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
        history.tables.orders.push(copy);
    }),
    by("every-order-was-requested", "an order that no client sent", |history| {
        confirmed(history).payment_method = "pm_of_nobody".to_owned();
    }),
    by("every-order-was-requested", "an order of an unknown customer", |history| {
        confirmed(history).customer_id = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
    }),
    by("orders-end", "an order waits for ever", |history| confirmed(history).status = "placed".to_owned()),
    by("orders-end", "the capture of a confirmed order is missing", |history| {
        confirmed(history).payment = "authorized".to_owned();
    }),
    by("orders-end", "the stock of a cancelled order is not returned", |history| {
        first(&mut history.tables.orders, |row| row.stock == "released").stock = "reserved".to_owned();
    }),
    by("histories-follow-the-state-table", "an order was confirmed before both answers", |history| {
        confirmed(history).history.swap(2, 3);
    }),
    by("histories-follow-the-state-table", "an order was confirmed without a payment", |history| {
        confirmed(history).history.retain(|entry| entry.r#type != "payment.authorized.v1");
    }),
    by(
        "histories-follow-the-state-table",
        "the history of a confirmed order lacks its confirmation",
        |history| {
            confirmed(history).history.retain(|entry| entry.r#type != "order.confirmed.v1");
        },
    ),
    by(
        "histories-follow-the-state-table",
        "an order is cancelled for a reason that its history does not give",
        |history| {
            let row =
                first(&mut history.tables.orders, |row| row.reason.as_deref() == Some("payment_declined"));
            row.reason = Some("out_of_stock".to_owned());
        },
    ),
    by("histories-follow-the-state-table", "an order notes an event that nobody published", |history| {
        let row = confirmed(history);
        first(&mut row.history, |entry| entry.r#type == "stock.reserved.v1").r#type =
            "stock.rejected.v1".to_owned();
    }),
    by("answers-are-expected", "a request failed with an internal error", |history| {
        acknowledged(history).status = 500;
    }),
    by("reads-are-monotonic", "a later answer shows an earlier state", |history| {
        let mut late = read_of(history, "confirmed");
        alter(&mut late, |order| order["status"] = json!("placed"));
        late.sent += 1_000_000;
        late.answered = Some(late.sent);
        history.calls.push(late);
    }),
    by("reads-are-monotonic", "an answer shows a state that is not final later", |history| {
        let call = first(&mut history.calls, |call| is_read(call, "confirmed"));
        alter(call, |order| order["payment"] = json!("refunded"));
    }),
    by("reads-are-monotonic", "the history of an order is rewritten", |history| {
        let call = first(&mut history.calls, |call| is_read(call, "confirmed"));
        alter(call, |order| order["history"][1]["type"] = json!("stock.rejected.v1"));
    }),
    by("order-events-match-rows", "a confirmed order has no order.confirmed", |history| {
        let id = confirmed(history).id.to_string();
        history
            .records
            .retain(|record| record.key != id || record.header("ce_type") != Some("order.confirmed.v1"));
    }),
    by("order-events-match-rows", "order.placed has other items than the order", |history| {
        replace(event(history, "order.placed.v1"), "\"quantity\":", "\"quantity\":9");
    }),
    by("order-events-match-rows", "an order that was never committed is published", |history| {
        history.tables.orders.pop();
    }),
];

fn is_read(call: &Call, status: &str) -> bool {
    matches!(call.request, Request::Read(_)) && call.json()["status"] == status
}

fn read_of(history: &mut History, status: &str) -> Call {
    first(&mut history.calls, |call| is_read(call, status)).clone()
}

fn alter(call: &mut Call, change: impl Fn(&mut Value)) {
    let mut answer = call.json();
    change(&mut answer);
    call.answer = answer.to_string();
}
