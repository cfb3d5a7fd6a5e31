//! Topic `payments`, read by its own publisher: rolls a database that was restored from an older copy forward to its
//! published events.
//!
//! The events do not have the goals: the service reads `orders` again from the copy's position. The simulated gateway's
//! ledger was restored with this database, as that of a real gateway would not be, so what it lacks is added here.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::columns::column;
use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::PaymentEvent;
use events::values::OrderId;

use crate::domain::Payment;
use crate::gateway;
use crate::store::{self, Claim, New, Update};

/// The handler of the service's own `payments`.
pub(crate) struct Payments;

/// The payments of a batch.
#[derive(Debug, Default)]
pub(crate) struct State {
    stored: BTreeMap<OrderId, Payment>,
    /// The payments that the copy does not have.
    new: BTreeMap<OrderId, Payment>,
}

impl Handler for Payments {
    type Event = PaymentEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<State, Failure> {
        let orders = column(batch, |received| received.event.order_id().uuid());
        let stored = store::load(tx, &orders).await?.into_iter().map(|payment| (payment.order_id, payment));
        Ok(State { stored: stored.collect(), new: BTreeMap::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &PaymentEvent) -> Option<&'s mut Sequence> {
        state.get(event.order_id()).map(|payment| &mut payment.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, PaymentEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        if state.get(order_id).is_none() {
            state.new.insert(order_id, Payment::of_published(&incoming.event));
        }
        if let Some(payment) = state.get(order_id) {
            payment.recover(&incoming.event, incoming.sequence, incoming.time);
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let new = column(state.new.values(), |payment| New { payment, token: None });
        store::insert(tx, &new).await?;
        let changed = state.stored.values().filter(|payment| !payment.new_entries.is_empty());
        let changed: Vec<_> = changed.collect();
        let updates = column(&changed, |payment| {
            // The copy's claims are not valid any more.
            Update { payment, due_in: Some(Duration::ZERO), claim: Claim::Release }
        });
        store::update(tx, &updates).await?;
        for payment in changed.into_iter().chain(state.new.values()) {
            gateway::enter(tx, payment).await?;
        }
        Ok(())
    }
}

impl State {
    fn get(&mut self, order: OrderId) -> Option<&mut Payment> {
        self.stored.get_mut(&order).or_else(|| self.new.get_mut(&order))
    }
}
