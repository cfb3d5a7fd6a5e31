//! The events of `orders`, rebuilt from the orders' rows: what the topic has lost is published again.

use broker::{Cause, Failure, Page, Past, Rebuild, Rebuilt, Tx};
use events::OrderEvent;

use crate::domain::Order;
use crate::store;

/// The topic `orders`.
pub(crate) struct Orders;

impl Rebuild for Orders {
    type Event = OrderEvent;

    async fn rebuild(&self, tx: &mut Tx, page: Page<'_>) -> Result<Vec<Rebuilt<OrderEvent>>, Failure> {
        let orders = store::orders::page(tx, &page.of_uuids()).await?;
        Ok(orders.into_iter().map(|(order, traceparent)| rebuilt(&order, traceparent.as_deref())).collect())
    }
}

fn rebuilt(order: &Order, traceparent: Option<&str>) -> Rebuilt<OrderEvent> {
    let past = |(sequence, at, event)| Past {
        sequence,
        at,
        cause: Cause::traced(traceparent.map(str::to_owned)),
        event,
    };
    let events = order.published().into_iter().map(past).collect();
    Rebuilt { key: order.id().to_string(), version: order.version, events }
}
