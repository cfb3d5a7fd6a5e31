//! The events that the service can publish again: the current state of `customers`, and the events of `orders`, rebuilt from
//! the rows.

use broker::{Cause, Compacted, Failure, Keys, Tx};
use broker_ops::{Past, Rebuild, Rebuilt, UuidPage};
use envelope::Topic;
use events::{CUSTOMERS, OrderEvent};
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::domain::Order;
use crate::store;

/// Topic `customers`: the registered customers, and tombstones of those erased in the last 30 days.
pub(crate) struct Customers;

impl Compacted for Customers {
    fn topic(&self) -> Topic {
        CUSTOMERS
    }

    fn republish<'a>(
        &'a self,
        tx: &'a mut Tx,
        keys: Keys<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(republish(tx, keys))
    }
}

async fn republish(tx: &mut Tx, keys: Keys<'_>) -> Result<Option<String>, Failure> {
    // A key that is not an id belongs to no customer, and no customer follows it.
    let id = |key: &str| key.parse::<Uuid>().ok();
    let next = |id: Uuid| Uuid::from_u128(id.as_u128().saturating_add(1));
    let (range, long_erased, limit) = match keys {
        Keys::One(key) => {
            let Some(id) = id(key) else { return Ok(None) };
            (id..=id, true, 1)
        }
        Keys::After { after: None, limit } => (Uuid::nil()..=Uuid::max(), false, limit),
        Keys::After { after: Some(key), limit } => {
            let Some(id) = id(key) else { return Ok(None) };
            (next(id)..=Uuid::max(), false, limit)
        }
    };
    let states = store::customers::increment_versions(tx, range, long_erased, limit).await?;
    Ok(tx.append_states(&states)?)
}

pub(crate) struct Orders;

impl Rebuild for Orders {
    type Event = OrderEvent;

    async fn rebuild(&self, tx: &mut Tx, page: UuidPage) -> Result<Vec<Rebuilt<OrderEvent>>, Failure> {
        let orders = store::orders::page(tx, &page).await?;
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
