//! Topic `orders`: inserts missing orders, and gives the others their published status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::OrderEvent;
use events::values::OrderId;
use uuid::Uuid;

use crate::domain::Order;
use crate::store;

/// The handler of the service's own `orders`.
pub(crate) struct Orders {
    /// The time after which an order expires.
    pub(crate) expires_after: Duration,
}

/// The orders of a batch.
#[derive(Default)]
pub(crate) struct State {
    by_id: BTreeMap<OrderId, Order>,
    /// The orders that the database lacks, in their first state, each with the trace of its request.
    missing: Vec<(Order, String)>,
    changed: BTreeSet<OrderId>,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let orders = store::orders::load(tx, &ids).await?;
        let by_id = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(State { by_id, ..State::default() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.by_id.get_mut(&event.order_id()).map(|order| &mut order.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let id = incoming.event.order_id();
        if let Some(order) = state.by_id.get_mut(&id) {
            order.recover(&incoming.event, incoming.time.truncate_to_microsecond());
            state.changed.insert(id);
            return Ok(());
        }
        let OrderEvent::Placed(placed) = &incoming.event else {
            return Err(Rejected(
                "the order is unknown, and its first event is no longer in the topic".into(),
            ));
        };
        let (order, _) = Order::place(placed.clone());
        state.missing.push((order.clone(), incoming.traceparent.clone().unwrap_or_default()));
        // Further events of this batch are saved as changes of an existing order.
        state.by_id.insert(id, Order { entries: Vec::new(), ..order });
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        if !state.missing.is_empty() {
            let customers: Vec<Uuid> =
                state.missing.iter().map(|(order, _)| order.placed.customer_id.uuid()).collect();
            store::recover::insert_erased(tx, &customers).await?;
            let missing: Vec<_> =
                state.missing.iter().map(|(order, trace)| (order, trace.as_str())).collect();
            store::orders::insert(tx, &missing, self.expires_after).await?;
        }
        let changed: Vec<&Order> = state.changed.iter().filter_map(|id| state.by_id.get(id)).collect();
        Ok(store::orders::save(tx, &changed).await?)
    }
}
