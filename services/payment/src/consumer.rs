//! Topic `orders`: each event moves the goal of its order's payment. The worker makes the calls to the gateway that follow;
//! it is woken when the batch has been committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::values::OrderId;
use events::{OrderEvent, PaymentEvent};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::domain::{Payment, Trigger};
use crate::event_log;
use crate::store::{self, Update};

/// The handler of `orders`.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Wakes the worker.
    pub wake: Arc<Notify>,
}

/// The payments of a batch.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    by_order: BTreeMap<OrderId, Loaded>,
    /// The events that were published without a call to the gateway, each with its trace; logged after the commit.
    published: Vec<(PaymentEvent, Option<String>)>,
}

#[derive(Debug)]
struct Loaded {
    payment: Payment,
    change: Change,
    /// Whether this batch has the `order.placed` of a payment that was created without it.
    is_completed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Updated,
    New,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = Payments;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<Payments, Failure> {
        let orders = store::ids(batch.iter().map(|received| received.event.order_id()));
        let loaded = store::load(tx, &orders).await?.into_iter().map(|payment| {
            let loaded = Loaded { payment, change: Change::None, is_completed: false };
            (loaded.payment.order_id, loaded)
        });
        Ok(Payments { by_order: loaded.collect(), published: Vec::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut Payments, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.by_order.get_mut(&event.order_id()).map(|loaded| &mut loaded.payment.seen_orders)
    }

    fn handle(&self, state: &mut Payments, mut incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        let trigger = trigger(incoming.received);
        let event = match (state.by_order.get_mut(&order_id), &incoming.event) {
            (Some(loaded), event) => loaded.apply(event, trigger, incoming.now),
            (None, OrderEvent::Placed(order)) => {
                let payment = Payment::of_placed(order, trigger, incoming.now);
                state.by_order.insert(order_id, Loaded::new(payment));
                None
            }
            (None, OrderEvent::Cancelled(order)) => {
                let (payment, event) = Payment::of_cancelled(order, trigger, incoming.now);
                state.by_order.insert(order_id, Loaded::new(payment));
                Some(event)
            }
            (None, OrderEvent::Confirmed(_)) => {
                return Err(Rejected("the order was confirmed, but never placed".to_owned()));
            }
        };
        if let (Some(event), Some(loaded)) = (event, state.by_order.get(&order_id)) {
            incoming.append(loaded.payment.version, &event)?;
            state.published.push((event, incoming.traceparent.clone()));
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Payments) -> Result<(), Failure> {
        let with = |change: Change| state.by_order.values().filter(move |loaded| loaded.change == change);
        let new: Vec<_> = with(Change::New).map(|loaded| &loaded.payment).collect();
        store::insert(tx, &new).await?;
        let completed = state.by_order.values().filter(|loaded| loaded.is_completed);
        store::complete(tx, &completed.map(|loaded| &loaded.payment).collect::<Vec<_>>()).await?;
        let updates = with(Change::Updated).map(|Loaded { payment, .. }| {
            // A new operation is due now; one that was tried keeps its due time, its lease and its backoff.
            let is_new = !payment.started && payment.failures == 0;
            Update { payment, due_in: is_new.then_some(Duration::ZERO) }
        });
        store::update(tx, &updates.collect::<Vec<_>>(), false).await?;
        let is_due = state.by_order.values().any(|loaded| loaded.payment.operation.is_some());
        let (wake, published) = (Arc::clone(&self.wake), state.published);
        tx.on_commit(move || {
            for (event, traceparent) in &published {
                event_log::log(event, traceparent.as_deref());
            }
            if is_due {
                wake.notify_one();
            }
        });
        Ok(())
    }
}

impl Loaded {
    fn new(payment: Payment) -> Self {
        Self { payment, change: Change::New, is_completed: false }
    }

    fn apply(&mut self, event: &OrderEvent, trigger: Trigger, now: OffsetDateTime) -> Option<PaymentEvent> {
        if self.change == Change::None {
            self.change = Change::Updated;
        }
        match event {
            OrderEvent::Placed(order) => {
                self.is_completed = self.payment.method.is_none();
                self.payment.on_placed(order, trigger, now);
                None
            }
            OrderEvent::Confirmed(_) => self.payment.on_confirmed(trigger, now),
            OrderEvent::Cancelled(_) => self.payment.on_cancelled(trigger, now),
        }
    }
}

fn trigger(received: &Received<OrderEvent>) -> Trigger {
    Trigger {
        id: received.id,
        event_type: received.event.ce_type(),
        sequence: received.sequence,
        traceparent: received.traceparent.clone(),
    }
}
