//! Contacts from `customers`: those that are missing are inserted, and an erasure takes effect again.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::CustomerEvent;
use events::values::CustomerId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store;

/// Rolls the customers' contacts forward.
pub(crate) struct Customers;

/// The customers of a batch.
#[derive(Default)]
pub(crate) struct State {
    versions: BTreeMap<CustomerId, Sequence>,
    /// What was published last of those that change, in the order in which it was read.
    facts: Vec<(CustomerEvent, OffsetDateTime)>,
}

impl Handler for Customers {
    type Event = CustomerEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<CustomerEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.customer_id().uuid()).collect();
        Ok(State { versions: store::forward::versions(tx, &ids).await?, facts: Vec::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &CustomerEvent) -> Option<&'s mut Sequence> {
        state.versions.get_mut(&event.customer_id())
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, CustomerEvent>) -> Result<(), Rejected> {
        let id = incoming.event.customer_id();
        state.versions.insert(id, incoming.sequence);
        state.facts.retain(|(event, _)| event.customer_id() != id);
        state.facts.push((incoming.event.clone(), incoming.now));
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        // Before the registrations: an address that was freed may be another customer's by now.
        let is_erasure =
            |(event, _): &&(CustomerEvent, OffsetDateTime)| matches!(event, CustomerEvent::Erased(_));
        let (erasures, registrations): (Vec<_>, Vec<_>) = state.facts.iter().partition(is_erasure);
        for (event, now) in erasures.into_iter().chain(registrations) {
            let version = state.versions[&event.customer_id()];
            match event {
                CustomerEvent::Registered(customer) => {
                    store::forward::register(tx, customer, version).await?;
                }
                CustomerEvent::Erased(erased) => {
                    // An address that waits to be published would be published after the erasure.
                    tx.withdraw::<CustomerEvent>(&event.key()).await?;
                    store::forward::erase(tx, erased.customer_id, version, *now).await?;
                }
            }
        }
        Ok(())
    }
}
