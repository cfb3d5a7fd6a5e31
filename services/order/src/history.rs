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
        Ok(orders.into_iter().map(|(order, traceparent)| rebuilt(&order, traceparent)).collect())
    }
}

fn rebuilt(order: &Order, traceparent: Option<String>) -> Rebuilt<OrderEvent> {
    let past =
        |(sequence, at, event)| Past { sequence, at, cause: Cause::traced(traceparent.clone()), event };
    let events = order.published().into_iter().map(past).collect();
    Rebuilt { key: order.id().to_string(), version: order.version, events }
}
