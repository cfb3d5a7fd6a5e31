//! Topic `orders`: an order's outcome becomes a message a channel; what it was short of may become a subscription, and
//! what it bought ends one.

use broker::{Cause, Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{CustomerId, OrderId, SubscriptionId};
use events::{OrderConfirmed, OrderEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Consumers;
use crate::config::OrderConsent;
use crate::deliver::content::Content;
use crate::deliver::delivery::Due;
use crate::deliver::{announce, orders, queue};
use crate::notify_me::by_order::{self, Made};
use crate::notify_me::purchases::{self, Purchase, Standing};
use crate::notify_me::stock;
use crate::own;

/// The fold of `orders`.
pub(crate) struct Orders(pub Consumers);

/// The orders of a batch, and what follows from it.
#[derive(Default)]
pub(crate) struct State {
    orders: orders::Orders,
    due: Vec<Due>,
    /// Orders whose refund was known before they were: whose they are.
    claimed: Vec<(OrderId, CustomerId)>,
    made: Vec<(Made, Cause)>,
    /// The lines of the orders that were confirmed, for their claims.
    purchases: Vec<Purchase>,
    standing: Standing,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        Ok(State { orders: orders::load(tx, &ids).await?, ..State::default() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &OrderEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.orders.entry(event.order_id()).or_default().seen)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let event = &incoming.event;
        let order = state.orders.entry(event.order_id()).or_default();
        let customer = announce::customer(event);
        if order.customer.replace(customer).is_none() && order.refunded {
            state.claimed.push((event.order_id(), customer));
        }
        match event {
            OrderEvent::Confirmed(confirmed) => {
                let lines = bought(confirmed, incoming.received);
                state.purchases.extend(lines.iter().cloned());
                // A redrive may bring it after the cancellation that followed it.
                if order.seen <= incoming.sequence {
                    state.standing.confirmed(confirmed.order_id, lines);
                }
            }
            OrderEvent::Cancelled(cancelled) => state.standing.cancelled(cancelled.order_id),
            OrderEvent::Placed(_) => {}
        }
        if let Some(mut content) = announce::of_order(event) {
            state.made.extend(subscribe(&mut content, customer, incoming.received, incoming.now));
            state.due.push(Due {
                content,
                customer: Some(customer),
                cause: incoming.cause(),
                at: incoming.now,
            });
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        orders::save(tx, &state.orders).await?;
        self.look_again(tx, &state).await?;
        if !state.due.is_empty() && !queue::insert(tx, &state.due, &self.0.channels).await? {
            own::complete(tx, &state.due).await?;
        }
        self.make(tx, &state.made).await?;
        purchases::convert(tx, &state.purchases).await?;
        state.standing.save(tx).await?;
        if !state.claimed.is_empty() {
            queue::belong(tx, &state.claimed).await?;
        }
        self.0.wake_senders_on(tx);
        self.0.wake_waves_on(tx);
        Ok(())
    }
}

impl Orders {
    /// Has the waves look at the products that somebody begins to wait for, now or again. All at once: the locks of
    /// products are taken in one order.
    async fn look_again(&self, tx: &mut Tx, state: &State) -> sqlx::Result<()> {
        let restored = state.standing.undo(tx).await?;
        let mut skus: Vec<&str> = restored.iter().map(String::as_str).collect();
        if self.0.consent == OrderConsent::Trusted {
            skus.extend(state.made.iter().map(|(made, _)| made.sku.as_str()));
        }
        if skus.is_empty() { Ok(()) } else { stock::look_again(tx, &skus).await }
    }

    /// Writes the subscriptions that orders made. Behind the messages about those orders, which name them: one that comes to
    /// nothing is taken out of its message.
    async fn make(&self, tx: &mut Tx, made: &[(Made, Cause)]) -> sqlx::Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        let rows: Vec<&Made> = made.iter().map(|(made, _)| made).collect();
        by_order::insert(tx, &self.0.adoption.tokens, rows, self.0.consent).await?;
        let customers = made.iter().map(|(made, cause)| (made.customer, cause.clone())).collect();
        self.0.adoption.adopt(tx, &customers).await
    }
}

/// The subscriptions that a cancelled order asks for: one a short line, which the message then names.
fn subscribe(
    content: &mut Content,
    customer: CustomerId,
    received: &Received<OrderEvent>,
    now: OffsetDateTime,
) -> Vec<(Made, Cause)> {
    let Content::OrderCancelled { order_id, short, notify_me: true, .. } = content else { return Vec::new() };
    let make = |line: &mut crate::deliver::content::Short| {
        let id = *line.subscription.insert(SubscriptionId::new(now));
        let made = Made { id, order: *order_id, customer, sku: line.sku.clone(), quantity: line.wanted };
        (made, received.cause())
    };
    short.iter_mut().map(make).collect()
}

fn bought(confirmed: &OrderConfirmed, received: &Received<OrderEvent>) -> Vec<Purchase> {
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
