//! Topic `orders`: each event moves the goal of its order's payment. The worker makes the calls to the gateway that follow: as
//! many as it can make now are claimed for it here and handed over after the commit, and for the others it is woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::columns::column;
use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::values::OrderId;
use events::{OrderEvent, PaymentEvent};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;
use work::HandOver;

use crate::domain::{Payment, Trigger};
use crate::event_log;
use crate::store::{self, Claim, Claimed, New, Update};

/// The handler of `orders`.
pub(crate) struct Orders {
    /// Wakes the worker.
    pub wake: Arc<Notify>,
    /// Takes payments to the worker.
    pub hand_over: HandOver<Claimed>,
}

/// The payments of a batch.
pub(crate) struct Payments {
    by_order: BTreeMap<OrderId, Loaded>,
    /// The events that were published without a call to the gateway, each with its trace; logged after the commit.
    published: Vec<(PaymentEvent, Option<String>)>,
}

struct Loaded {
    payment: Payment,
    change: Change,
    /// Whether this batch has the `order.placed` of a payment that was created without it.
    is_completed: bool,
    /// The token under which it is claimed for the worker.
    token: Option<Uuid>,
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
        let orders = column(batch, |received| received.event.order_id().uuid());
        let loaded = store::load(tx, &orders).await?.into_iter();
        let by_order = loaded.map(|payment| (payment.order_id, Loaded::new(payment, Change::None))).collect();
        Ok(Payments { by_order, published: Vec::new() })
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
                state.by_order.insert(order_id, Loaded::new(payment, Change::New));
                None
            }
            (None, OrderEvent::Cancelled(order)) => {
                let (payment, event) = Payment::of_cancelled(order, trigger, incoming.now);
                state.by_order.insert(order_id, Loaded::new(payment, Change::New));
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

    async fn save(&self, tx: &mut Tx, mut state: Payments) -> Result<(), Failure> {
        let calls: Vec<_> = state.by_order.values_mut().filter(|loaded| loaded.has_new_operation()).collect();
        let (reserved, token) = (self.hand_over.reserve(calls.len()), Uuid::new_v4());
        let are_left = calls.len() > reserved.calls();
        for loaded in calls.into_iter().take(reserved.calls()) {
            (loaded.payment.started, loaded.token) = (true, Some(token));
        }
        let with = |change: Change| state.by_order.values().filter(move |loaded| loaded.change == change);
        let new = column(with(Change::New), |Loaded { payment, token, .. }| New { payment, token: *token });
        store::insert(tx, &new).await?;
        let completed = state.by_order.values().filter(|loaded| loaded.is_completed);
        store::complete(tx, &column(completed, |loaded| &loaded.payment)).await?;
        let updates = column(with(Change::Updated), |loaded| {
            // A new operation is due now; one that was tried keeps its due time, its lease and its backoff.
            let is_new = loaded.token.is_some() || !loaded.payment.started && loaded.payment.failures == 0;
            let claim = loaded.token.map_or(Claim::Keep, Claim::Take);
            Update { payment: &loaded.payment, due_in: is_new.then_some(Duration::ZERO), claim }
        });
        store::update(tx, &updates).await?;
        let (wake, published) = (Arc::clone(&self.wake), state.published);
        let claimed = state.by_order.into_values().filter_map(|Loaded { payment, token, .. }| {
            Some(Claimed { payment, unresolved: false, token: token? })
        });
        let claimed: Vec<_> = claimed.collect();
        tx.on_commit(move || {
            for (event, traceparent) in &published {
                event_log::log(event, traceparent.as_deref());
            }
            reserved.hand_over(claimed);
            if are_left {
                wake.notify_one();
            }
        });
        Ok(())
    }
}

impl Loaded {
    fn new(payment: Payment, change: Change) -> Self {
        Self { payment, change, is_completed: false, token: None }
    }

    /// Whether there is a call to make that nobody has begun.
    fn has_new_operation(&self) -> bool {
        let Payment { operation, started, failures, .. } = &self.payment;
        self.change != Change::None && operation.is_some() && !started && *failures == 0
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
