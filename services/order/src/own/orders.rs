//! Orders from `orders`: those that are missing are inserted, the others get the status that was published.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::OrderEvent;
use events::values::OrderId;
use uuid::Uuid;

use crate::domain::Order;
use crate::store;

/// Rolls orders forward.
pub(crate) struct Orders {
    /// After which time an order expires.
    pub(crate) patience: Duration,
}

/// The orders of a batch.
#[derive(Default)]
pub(crate) struct State {
    known: BTreeMap<OrderId, Order>,
    /// Those that are missing, as they were placed, each with the trace that it was placed in.
    missing: Vec<(Order, String)>,
    changed: BTreeSet<OrderId>,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let orders = store::orders::load(tx, &ids).await?;
        let known = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(State { known, ..State::default() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.known.get_mut(&event.order_id()).map(|order| &mut order.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let id = incoming.event.order_id();
        if let Some(order) = state.known.get_mut(&id) {
            order.was_published(&incoming.event, incoming.time.truncate_to_microsecond());
            state.changed.insert(id);
            return Ok(());
        }
        let OrderEvent::Placed(placed) = &incoming.event else {
            return Err(Rejected(
                "the order is unknown, and its order.placed.v1 is not in the topic any more".into(),
            ));
        };
        let (order, _) = Order::place(placed.clone());
        state.missing.push((order.clone(), incoming.traceparent.clone().unwrap_or_default()));
        // What follows it in the batch is saved like the changes of an order that was there.
        state.known.insert(id, Order { news: Vec::new(), ..order });
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        if !state.missing.is_empty() {
            let customers: Vec<Uuid> =
                state.missing.iter().map(|(order, _)| order.placed.customer_id.uuid()).collect();
            store::forward::stand_in(tx, &customers).await?;
            let missing: Vec<_> =
                state.missing.iter().map(|(order, trace)| (order, trace.as_str())).collect();
            store::orders::insert(tx, &missing, self.patience).await?;
        }
        let changed: Vec<&Order> = state.changed.iter().filter_map(|id| state.known.get(id)).collect();
        if !changed.is_empty() {
            store::orders::save(tx, &changed).await?;
        }
        Ok(())
    }
}
