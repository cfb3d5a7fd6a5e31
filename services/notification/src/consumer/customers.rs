//! Topic `customers`: the copy of the contacts, and what waited for one.

use broker::{Appends, Failure, Fold, Received, Rejected, Tx};
use envelope::Sequence;
use events::CustomerEvent;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Consumers;
use crate::deliver::contacts::{self, Contacts};
use crate::deliver::queue;

/// The fold of `customers`.
pub(crate) struct Customers(pub Consumers);

impl Fold for Customers {
    type Event = CustomerEvent;
    type State = Contacts;

    async fn load(&self, tx: &mut Tx, batch: &[Received<CustomerEvent>]) -> Result<Contacts, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.customer_id().uuid()).collect();
        Ok(contacts::load(tx, &ids).await?)
    }

    fn seen<'s>(&self, state: &'s mut Contacts, event: &CustomerEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.entry(event.customer_id()).or_default().seen)
    }

    fn decide(
        &self,
        state: &mut Contacts,
        received: &Received<CustomerEvent>,
        _now: OffsetDateTime,
        _out: &mut Appends,
    ) -> Result<(), Rejected> {
        state.entry(received.event.customer_id()).or_default().reach.apply(&received.event);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Contacts) -> Result<(), Failure> {
        contacts::save(tx, &state).await?;
        let ids: Vec<Uuid> = state.keys().map(|id| id.uuid()).collect();
        Ok(queue::hasten(tx, &ids).await?)
    }

    fn committed(&self) {
        self.0.wake();
    }
}
