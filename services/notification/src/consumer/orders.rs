//! Topic `orders`: an order's outcome becomes a message a channel.

use broker::{Appends, Failure, Fold, Received, Rejected, Tx};
use envelope::Sequence;
use events::OrderEvent;
use events::values::{CustomerId, OrderId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Consumers;
use crate::deliver::delivery::Due;
use crate::deliver::{announce, orders, queue};

/// The fold of `orders`.
pub(crate) struct Orders(pub Consumers);

/// The orders of a batch, and what follows from it.
pub(crate) struct State {
    orders: orders::Orders,
    due: Vec<Due>,
    /// Orders whose refund was known before they were: whose they are.
    claimed: Vec<(OrderId, CustomerId)>,
}

impl Fold for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let orders = orders::load(tx, &ids).await?;
        Ok(State { orders, due: Vec::new(), claimed: Vec::new() })
    }

    fn seen<'s>(&self, state: &'s mut State, event: &OrderEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.orders.entry(event.order_id()).or_default().seen)
    }

    fn decide(
        &self,
        state: &mut State,
        received: &Received<OrderEvent>,
        now: OffsetDateTime,
        _out: &mut Appends,
    ) -> Result<(), Rejected> {
        let event = &received.event;
        let order = state.orders.entry(event.order_id()).or_default();
        let customer = announce::customer(event);
        if order.customer.replace(customer).is_none() && order.refunded {
            state.claimed.push((event.order_id(), customer));
        }
        if let Some(content) = announce::of_order(event) {
            state.due.push(Due { content, customer: Some(customer), cause: received.cause(), at: now });
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        orders::save(tx, &state.orders).await?;
        if !state.claimed.is_empty() {
            queue::belong(tx, &state.claimed).await?;
        }
        if !state.due.is_empty() {
            queue::insert(tx, &state.due, &self.0.channels).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        self.0.wake();
    }
}
