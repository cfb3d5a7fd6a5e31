//! Topic `customers`: copies the contacts, makes due what waited for one, and erases.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::CustomerEvent;
use events::values::{CustomerId, EmailAddress};
use uuid::Uuid;

use super::Consumers;
use crate::store::contacts::{self, Contacts, Reach};
use crate::store::{addressing, deliveries, erasure, stock};
use crate::waitlist::addressing::Trigger;

pub(crate) struct Customers(pub Consumers);

/// The contacts of a batch, and what follows from their changes.
#[derive(Default)]
pub(crate) struct State {
    contacts: Contacts,
    arrived: BTreeMap<CustomerId, Trigger>,
    /// Erased customers, and their addresses as far as they were known.
    erased: Vec<Uuid>,
    addresses: Vec<EmailAddress>,
}

impl Handler for Customers {
    type Event = CustomerEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<CustomerEvent>]) -> Result<State, Failure> {
        addressing::lock_for_contacts(tx).await?;
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.customer_id().uuid()).collect();
        // With an address they can be notified; the wave of a restock may have passed without them.
        stock::make_wave_due_for(tx, &ids).await?;
        Ok(State { contacts: contacts::load(tx, &ids).await?, ..State::default() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &CustomerEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.contacts.entry(event.customer_id()).or_default().last_sequence)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, CustomerEvent>) -> Result<(), Rejected> {
        let customer = incoming.event.customer_id();
        let contact = state.contacts.entry(customer).or_default();
        let before = contact.reach.clone();
        contact.reach.apply(&incoming.event);
        match (before, &contact.reach) {
            (Reach::Erased, _) => {}
            (before, Reach::Erased) => {
                state.arrived.remove(&customer);
                state.erased.push(customer.uuid());
                if let Reach::At(address) = before {
                    state.addresses.push(address);
                }
            }
            _ => {
                state.arrived.insert(customer, Trigger { cause: incoming.cause(), at: incoming.now });
            }
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        // First: the purchases of an erased subscriber are found by the address.
        if !state.erased.is_empty() {
            let addresses: Vec<&str> = state.addresses.iter().map(EmailAddress::expose).collect();
            erasure::erase(tx, &addresses, &state.erased).await?;
        }
        contacts::save(tx, &state.contacts).await?;
        let is_addressed = self.0.addressing.run(tx, &state.arrived).await?;
        let all: Vec<Uuid> = state.contacts.keys().map(|id| id.uuid()).collect();
        let was_awaited = deliveries::contacts_arrived(tx, &all).await? > 0;
        if is_addressed || was_awaited || !state.erased.is_empty() {
            self.0.wakes.senders_after(tx);
            self.0.wakes.waves_after(tx);
        }
        Ok(())
    }
}
