//! Topic `payments`: a refund becomes one message per channel. Only the order's events name the customer; topics have no common
//! order, so the refund may arrive first.

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::PaymentEvent;
use uuid::Uuid;

use super::Consumers;
use crate::domain::announce;
use crate::domain::delivery::Message;
use crate::store::orders;

pub(crate) struct Payments(pub Consumers);

/// The refunded orders of a batch, and their messages.
pub(crate) struct State {
    orders: orders::Orders,
    messages: Vec<Message>,
}

impl Handler for Payments {
    type Event = PaymentEvent;
    type State = State;

    const FIRST_IS_FIRST: bool = false;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<State, Failure> {
        let refunds = batch.iter().filter(|received| announce::of_payment(&received.event).is_some());
        let ids: Vec<Uuid> = refunds.map(|received| received.event.order_id().uuid()).collect();
        let orders = if ids.is_empty() { orders::Orders::new() } else { orders::load(tx, &ids).await? };
        Ok(State { orders, messages: Vec::new() })
    }

    /// An order has at most one refund. Its flag stands for a sequence, so that the many other events of a payment write nothing
    /// here.
    fn last_sequence<'s>(&self, _state: &'s mut State, _event: &PaymentEvent) -> Option<&'s mut Sequence> {
        None
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, PaymentEvent>) -> Result<(), Rejected> {
        let Some(content) = announce::of_payment(&incoming.event) else { return Ok(()) };
        let order = state.orders.entry(incoming.event.order_id()).or_default();
        if !std::mem::replace(&mut order.refunded, true) {
            state.messages.push(Message {
                content,
                customer: order.customer,
                cause: incoming.cause(),
                at: incoming.now,
            });
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        if state.messages.is_empty() {
            return Ok(());
        }
        orders::save(tx, &state.orders).await?;
        if self.0.announcer.announce(tx, &state.messages).await? {
            self.0.wakes.senders_after(tx);
        }
        Ok(())
    }
}
