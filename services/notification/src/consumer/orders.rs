//! Topic `orders`: an order's outcome becomes one message per channel; its short lines may become subscriptions, and its purchases
//! suspend or convert some.

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{CustomerId, OrderId, SubscriptionId};
use events::{OrderConfirmed, OrderEvent};
use uuid::Uuid;

use super::Consumers;
use crate::config::OrderConsent;
use crate::domain::announce;
use crate::domain::content::{Content, ShortItem};
use crate::domain::delivery::Message;
use crate::domain::purchase::{Purchase, StandingLines};
use crate::store::addressing::{self, ByOrder, Known};
use crate::store::{deliveries, orders, purchases, stock};
use crate::waitlist::addressing::Trigger;

pub(crate) struct Orders(pub Consumers);

/// The orders of a batch, and what follows from their events.
#[derive(Default)]
pub(crate) struct State {
    orders: orders::Orders,
    messages: Vec<Message>,
    /// The customers of orders whose refund arrived first.
    assigned: Vec<(OrderId, CustomerId)>,
    requested: Vec<(ByOrder, Trigger)>,
    known: Known,
    /// The lines of all orders that were confirmed, for their claims.
    purchases: Vec<Purchase>,
    /// The lines that stand after the batch.
    standing: StandingLines,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let requests = |received: &Received<OrderEvent>| match &received.event {
            OrderEvent::Cancelled(cancelled) if cancelled.notify_me => Some(cancelled.order_id.uuid()),
            _ => None,
        };
        let requesting: Vec<Uuid> = batch.iter().filter_map(requests).collect();
        if !requesting.is_empty() {
            addressing::lock_for_subscriptions(tx).await?;
        }
        let known = addressing::known(tx, &requesting).await?;
        Ok(State { orders: orders::load(tx, &ids).await?, known, ..State::default() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &OrderEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.orders.entry(event.order_id()).or_default().last_sequence)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let event = &incoming.event;
        let order = state.orders.entry(event.order_id()).or_default();
        let customer = announce::customer(event);
        if order.customer.replace(customer).is_none() && order.refunded {
            state.assigned.push((event.order_id(), customer));
        }
        match event {
            OrderEvent::Confirmed(confirmed) => {
                let lines = lines_of(confirmed, incoming.received);
                state.purchases.extend(lines.iter().cloned());
                // A redrive may bring the confirmation after the cancellation.
                if order.last_sequence <= incoming.sequence {
                    state.standing.confirmed(confirmed.order_id, lines);
                }
            }
            OrderEvent::Cancelled(cancelled) => state.standing.cancelled(cancelled.order_id),
            OrderEvent::Placed(_) => {}
        }
        // A redriven confirmation must not be announced after the cancellation.
        let is_stale = matches!(event, OrderEvent::Confirmed(_)) && incoming.sequence < order.last_sequence;
        if let Some(mut content) = announce::of_order(event).filter(|_| !is_stale) {
            let trigger = Trigger { cause: incoming.cause(), at: incoming.now };
            state.requested.extend(subscriptions(&mut content, &state.known, customer, &trigger));
            let Trigger { cause, at } = trigger;
            state.messages.push(Message { content, customer: Some(customer), cause, at });
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        orders::save(tx, &state.orders).await?;
        let are_waves_due = self.make_waves_due(tx, &state).await?;
        let are_messages_due = self.0.announcer.announce(tx, &state.messages).await?;
        self.subscribe(tx, &state.requested).await?;
        purchases::convert(tx, &state.purchases).await?;
        purchases::insert(tx, &state.standing).await?;
        if !state.assigned.is_empty() {
            deliveries::assign(tx, &state.assigned).await?;
        }
        if are_messages_due || !state.assigned.is_empty() || !state.requested.is_empty() {
            self.0.wakes.senders_after(tx);
        }
        if are_waves_due {
            self.0.wakes.waves_after(tx);
        }
        Ok(())
    }
}

impl Orders {
    /// Makes a wave due for each product whose line somebody joins, for the first time or again. All at once: the locks of products
    /// are taken in one order. Returns whether there is any.
    async fn make_waves_due(&self, tx: &mut Tx, state: &State) -> sqlx::Result<bool> {
        let restored = purchases::delete_cancelled(tx, &state.standing).await?;
        let mut skus: Vec<&str> = restored.iter().map(String::as_str).collect();
        if self.0.consent == OrderConsent::Trusted {
            skus.extend(state.requested.iter().map(|(requested, _)| requested.sku.as_str()));
        }
        if !skus.is_empty() {
            stock::make_wave_due(tx, &skus).await?;
        }
        Ok(!skus.is_empty())
    }

    /// Inserts the requested subscriptions, after the messages about their orders, which name them: a dropped request is taken out
    /// of its message.
    async fn subscribe(&self, tx: &mut Tx, requested: &[(ByOrder, Trigger)]) -> sqlx::Result<()> {
        if requested.is_empty() {
            return Ok(());
        }
        let rows: Vec<&ByOrder> = requested.iter().map(|(row, _)| row).collect();
        let trusted = self.0.consent == OrderConsent::Trusted;
        addressing::insert(tx, &self.0.addressing.tokens, rows, trusted).await?;
        let customers = requested.iter().map(|(row, trigger)| (row.customer, trigger.clone())).collect();
        self.0.addressing.run(tx, &customers).await.map(drop)
    }
}

/// The subscriptions that a cancelled order requests, one per short line. The message names them.
fn subscriptions(
    content: &mut Content,
    known: &Known,
    customer: CustomerId,
    trigger: &Trigger,
) -> Vec<(ByOrder, Trigger)> {
    let Content::OrderCancelled { order_id, short, notify_me: true, .. } = content else { return Vec::new() };
    let subscription = |line: &mut ShortItem| {
        let known = known.get(&(*order_id, line.sku.clone())).copied();
        let id = *line.subscription.insert(known.unwrap_or_else(|| SubscriptionId::new(trigger.at)));
        let row = ByOrder { id, order: *order_id, customer, sku: line.sku.clone(), quantity: line.wanted };
        (row, trigger.clone())
    };
    short.iter_mut().map(subscription).collect()
}

fn lines_of(confirmed: &OrderConfirmed, received: &Received<OrderEvent>) -> Vec<Purchase> {
    let purchase = |item: &events::Item| Purchase {
        order: confirmed.order_id,
        customer: confirmed.customer_id,
        sku: item.sku.clone(),
        units: item.quantity.get(),
        claim: confirmed.claim.clone(),
        cause: received.cause(),
        at: received.time,
    };
    confirmed.items.iter().map(purchase).collect()
}
