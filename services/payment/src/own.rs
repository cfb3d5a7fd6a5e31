//! Topic `payments`, read by its own publisher: brings a database that was restored from an older copy to where the
//! published events say that the money is.
//!
//! The goals are not restored here: the service reads `orders` again from the position of the copy. The books of the
//! simulated gateway were restored with this database; those of a real one would not have been, so what the events say
//! is entered there again.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::PaymentEvent;
use events::values::OrderId;

use crate::domain::Payment;
use crate::gateway;
use crate::store::{self, Written};

/// Folds the service's own `payments` into its payments.
#[derive(Debug)]
pub(crate) struct Payments;

/// The payments of a batch.
#[derive(Debug, Default)]
pub(crate) struct State {
    known: BTreeMap<OrderId, Payment>,
    /// Those that the database did not have.
    new: BTreeMap<OrderId, Payment>,
}

impl Handler for Payments {
    type Event = PaymentEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<State, Failure> {
        let mut orders: Vec<_> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        orders.sort_unstable();
        orders.dedup();
        let known = store::lock(tx, &orders).await?.into_iter().map(|payment| (payment.order_id, payment));
        Ok(State { known: known.collect(), new: BTreeMap::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &PaymentEvent) -> Option<&'s mut Sequence> {
        state.get(event.order_id()).map(|payment| &mut payment.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, PaymentEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        if state.get(order_id).is_none() {
            state.new.insert(order_id, Payment::unknown(&incoming.event));
        }
        if let Some(payment) = state.get(order_id) {
            payment.recover(&incoming.event, incoming.sequence, incoming.time);
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let new: Vec<_> = state.new.values().collect();
        if !new.is_empty() && store::insert(tx, &new).await? < new.len() as u64 {
            return Err(Failure::Retry("a payment was made by somebody else meanwhile".into()));
        }
        let changed: Vec<_> = state.known.values().filter(|payment| !payment.news.is_empty()).collect();
        if !changed.is_empty() {
            let due_now = |payment| Written { payment, due_in: Some(Duration::ZERO) };
            let written: Vec<_> = changed.iter().copied().map(due_now).collect();
            // The claims of the copy hold no more.
            store::update(tx, &written, true).await?;
        }
        Ok(gateway::enter(tx, changed.into_iter().chain(new)).await?)
    }
}

impl State {
    fn get(&mut self, order: OrderId) -> Option<&mut Payment> {
        self.known.get_mut(&order).or_else(|| self.new.get_mut(&order))
    }
}
