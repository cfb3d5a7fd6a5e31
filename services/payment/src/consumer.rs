//! Topic `orders`: each event moves the goal of its order's payment. What has to be asked of the gateway for it is left to
//! the worker, which is woken when the batch is committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::OrderId;
use events::{OrderEvent, PaymentEvent};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::announce::announce;
use crate::domain::{Asked, Payment};
use crate::store::{self, Written};

/// The fold of `orders` into payments.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Wakes the worker.
    pub wake: Arc<Notify>,
}

/// The payments of a batch, and what was answered without asking the gateway, each with its trace.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    known: BTreeMap<OrderId, Known>,
    answered: Vec<(PaymentEvent, Option<String>)>,
}

#[derive(Debug)]
struct Known {
    payment: Payment,
    state: State,
    /// It was made without its order, which has now told the rest.
    is_completed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unchanged,
    Changed,
    New,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = Payments;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<Payments, Failure> {
        let mut orders: Vec<_> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        orders.sort_unstable();
        orders.dedup();
        let known = store::lock(tx, &orders).await?.into_iter().map(|payment| {
            let known = Known { payment, state: State::Unchanged, is_completed: false };
            (known.payment.order_id, known)
        });
        Ok(Payments { known: known.collect(), answered: Vec::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut Payments, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.known.get_mut(&event.order_id()).map(|known| &mut known.payment.seen_orders)
    }

    fn handle(&self, state: &mut Payments, mut incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        let asked = asked(incoming.received);
        let event = match (state.known.get_mut(&order_id), &incoming.event) {
            (Some(known), event) => known.hear(event, asked, incoming.now),
            (None, OrderEvent::Placed(order)) => {
                state.known.insert(order_id, Known::new(Payment::placed(order, asked, incoming.now)));
                None
            }
            (None, OrderEvent::Cancelled(order)) => {
                let (payment, event) = Payment::closed(order, asked, incoming.now);
                state.known.insert(order_id, Known::new(payment));
                Some(event)
            }
            (None, OrderEvent::Confirmed(_)) => {
                return Err(Rejected("confirmed, and was never seen to be placed".to_owned()));
            }
        };
        if let (Some(event), Some(known)) = (event, state.known.get(&order_id)) {
            incoming.append(known.payment.version, &event)?;
            state.answered.push((event, incoming.traceparent.clone()));
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Payments) -> Result<(), Failure> {
        let in_state = |wanted| move |known: &&Known| known.state == wanted;
        let new: Vec<_> =
            state.known.values().filter(in_state(State::New)).map(|known| &known.payment).collect();
        if !new.is_empty() && store::insert(tx, &new).await? < new.len() as u64 {
            return Err(Failure::Retry("a payment was made by somebody else meanwhile".into()));
        }
        let completed = state.known.values().filter(|known| known.is_completed).map(|known| &known.payment);
        let completed: Vec<_> = completed.collect();
        if !completed.is_empty() {
            store::complete(tx, &completed).await?;
        }
        let changed =
            state.known.values().filter(in_state(State::Changed)).map(|Known { payment, .. }| {
                // An operation that was not tried yet is due now; one that was keeps its place, its lease and its back-off.
                let is_fresh = !payment.started && payment.failures == 0;
                Written { payment, due_in: is_fresh.then_some(Duration::ZERO) }
            });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            store::update(tx, &changed, false).await?;
        }
        let (wake, answered) = (Arc::clone(&self.wake), state.answered);
        tx.on_commit(move || {
            for (event, traceparent) in &answered {
                announce(event, traceparent.as_deref());
            }
            wake.notify_one();
        });
        Ok(())
    }
}

impl Known {
    fn new(payment: Payment) -> Self {
        Self { payment, state: State::New, is_completed: false }
    }

    fn hear(&mut self, event: &OrderEvent, asked: Asked, now: OffsetDateTime) -> Option<PaymentEvent> {
        if self.state == State::Unchanged {
            self.state = State::Changed;
        }
        match event {
            OrderEvent::Placed(order) => {
                self.is_completed = self.payment.method.is_none();
                self.payment.placed_again(order, asked, now);
                None
            }
            OrderEvent::Confirmed(_) => self.payment.confirmed(asked, now),
            OrderEvent::Cancelled(_) => self.payment.cancelled(asked, now),
        }
    }
}

fn asked(received: &Received<OrderEvent>) -> Asked {
    Asked { id: received.id, sequence: received.sequence, traceparent: received.traceparent.clone() }
}
