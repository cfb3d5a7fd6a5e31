//! The topics that this service owns, read as facts: they roll a database that was restored from an older copy forward
//! (`order restored`). Each handler compares an event's sequence with the aggregate's own version, and appends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::columns::column;
use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::values::{CustomerId, OrderId};
use events::{CustomerEvent, OrderEvent};
use time::OffsetDateTime;

use crate::domain::Order;
use crate::store;

/// The handler of the service's own `customers`: inserts missing customers, and repeats erasures.
pub(crate) struct Customers;

/// The customers of a batch.
pub(crate) struct CustomerBatch {
    versions: BTreeMap<CustomerId, Sequence>,
    /// The last event of each customer that changes, in the order of the log.
    last_events: Vec<(CustomerEvent, OffsetDateTime)>,
}

impl Handler for Customers {
    type Event = CustomerEvent;
    type State = CustomerBatch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<CustomerEvent>]) -> Result<CustomerBatch, Failure> {
        let ids = column(batch, |received| received.event.customer_id().uuid());
        Ok(CustomerBatch { versions: store::recover::versions(tx, &ids).await?, last_events: Vec::new() })
    }

    fn last_sequence<'s>(
        &self,
        state: &'s mut CustomerBatch,
        event: &CustomerEvent,
    ) -> Option<&'s mut Sequence> {
        state.versions.get_mut(&event.customer_id())
    }

    fn handle(&self, state: &mut Self::State, incoming: Incoming<'_, CustomerEvent>) -> Result<(), Rejected> {
        let id = incoming.event.customer_id();
        state.versions.insert(id, incoming.sequence);
        state.last_events.retain(|(event, _)| event.customer_id() != id);
        state.last_events.push((incoming.event.clone(), incoming.now));
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: CustomerBatch) -> Result<(), Failure> {
        // Before the registrations: another customer may have registered an erased address since.
        let is_erasure =
            |(event, _): &&(CustomerEvent, OffsetDateTime)| matches!(event, CustomerEvent::Erased(_));
        let (erasures, registrations): (Vec<_>, Vec<_>) = state.last_events.iter().partition(is_erasure);
        for (event, now) in erasures.into_iter().chain(registrations) {
            let version = state.versions[&event.customer_id()];
            match event {
                CustomerEvent::Registered(customer) => {
                    store::recover::register(tx, customer, version).await?;
                }
                CustomerEvent::Erased(erased) => {
                    // Otherwise an address that is still in the outbox would be published after the erasure.
                    tx.withdraw::<CustomerEvent>(&event.key()).await?;
                    store::recover::erase(tx, erased.customer_id, version, *now).await?;
                }
            }
        }
        Ok(())
    }
}

/// The handler of the service's own `orders`: inserts missing orders, and gives the others their published status.
pub(crate) struct Orders {
    /// The time after which an order expires.
    pub(crate) expires_after: Duration,
}

/// The orders of a batch.
pub(crate) struct OrderBatch {
    by_id: BTreeMap<OrderId, Order>,
    /// The orders that the database lacks, in their first state, each with the trace of its request.
    missing: Vec<(Order, String)>,
    changed: BTreeSet<OrderId>,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = OrderBatch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<OrderBatch, Failure> {
        let ids = column(batch, |received| received.event.order_id().uuid());
        let orders = store::orders::load(tx, &ids).await?;
        let by_id = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(OrderBatch { by_id, missing: Vec::new(), changed: BTreeSet::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut OrderBatch, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.by_id.get_mut(&event.order_id()).map(|order| &mut order.version)
    }

    fn handle(&self, state: &mut OrderBatch, incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
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

    async fn save(&self, tx: &mut Tx, state: OrderBatch) -> Result<(), Failure> {
        if !state.missing.is_empty() {
            let customers = column(&state.missing, |(order, _)| order.placed.customer_id.uuid());
            store::recover::insert_erased(tx, &customers).await?;
            let missing = column(&state.missing, |(order, trace)| (order, trace.as_str()));
            store::orders::insert(tx, &missing, self.expires_after).await?;
        }
        let changed: Vec<&Order> = state.changed.iter().filter_map(|id| state.by_id.get(id)).collect();
        Ok(store::orders::save(tx, &changed).await?)
    }
}
