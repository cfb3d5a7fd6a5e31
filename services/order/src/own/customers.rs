//! Topic `customers`: inserts missing customers, and repeats erasures.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::CustomerEvent;
use events::values::CustomerId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store;

/// The handler of the service's own `customers`.
pub(crate) struct Customers;

/// The customers of a batch.
#[derive(Default)]
pub(crate) struct State {
    versions: BTreeMap<CustomerId, Sequence>,
    /// The last event of each customer that changes, in the order of the log.
    last_events: Vec<(CustomerEvent, OffsetDateTime)>,
}

impl Handler for Customers {
    type Event = CustomerEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<CustomerEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.customer_id().uuid()).collect();
        Ok(State { versions: store::recover::versions(tx, &ids).await?, last_events: Vec::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &CustomerEvent) -> Option<&'s mut Sequence> {
        state.versions.get_mut(&event.customer_id())
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, CustomerEvent>) -> Result<(), Rejected> {
        let id = incoming.event.customer_id();
        state.versions.insert(id, incoming.sequence);
        state.last_events.retain(|(event, _)| event.customer_id() != id);
        state.last_events.push((incoming.event.clone(), incoming.now));
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
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
