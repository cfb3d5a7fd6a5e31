//! Topic `orders`: an order's outcome becomes a message a channel; what it was short of may become a subscription, and
//! what it bought ends one.

use std::collections::BTreeMap;

use broker::{Appends, Failure, Fold, Received, Rejected, Tx};
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
use crate::notify_me::purchases::{self, Purchase};
use crate::notify_me::stock;

/// The fold of `orders`.
pub(crate) struct Orders(pub Consumers);

/// The orders of a batch, and what follows from it.
#[derive(Default)]
pub(crate) struct State {
    orders: orders::Orders,
    due: Vec<Due>,
    /// Orders whose refund was known before they were: whose they are.
    claimed: Vec<(OrderId, CustomerId)>,
    made: Vec<Made>,
    purchases: Vec<Purchase>,
}

impl Fold for Orders {
    type Event = OrderEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<State, Failure> {
        let ids: Vec<Uuid> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        Ok(State { orders: orders::load(tx, &ids).await?, ..State::default() })
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
        if let OrderEvent::Confirmed(confirmed) = event {
            state.purchases.extend(bought(confirmed, received));
        }
        if let Some(mut content) = announce::of_order(event) {
            state.made.extend(subscribe(&mut content, customer, received, now));
            state.due.push(Due { content, customer: Some(customer), cause: received.cause(), at: now });
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, mut state: State) -> Result<(), Failure> {
        orders::save(tx, &state.orders).await?;
        if !state.made.is_empty() {
            state.due.extend(self.make(tx, &state.made).await?);
        }
        if !state.purchases.is_empty() {
            purchases::apply(tx, &state.purchases).await?;
        }
        if !state.claimed.is_empty() {
            queue::belong(tx, &state.claimed).await?;
        }
        if !state.due.is_empty() {
            queue::insert(tx, &state.due, &self.0.channels).await?;
        }
        self.0.wake_senders_on(tx);
        self.0.wake_waves_on(tx);
        Ok(())
    }
}

impl Orders {
    /// Writes the subscriptions that orders made; the questions that are to be put come back.
    async fn make(&self, tx: &mut Tx, made: &[Made]) -> sqlx::Result<Vec<Due>> {
        if self.0.consent == OrderConsent::Trusted {
            let skus: Vec<&str> = made.iter().map(|made| made.sku.as_str()).collect();
            stock::look_again(tx, &skus).await?;
        }
        let questions = by_order::insert(tx, &self.0.tokens, made, self.0.consent).await?;
        let customers: BTreeMap<_, _> = made.iter().map(|made| (made.customer, made.cause.clone())).collect();
        by_order::adopt(tx, &customers).await?;
        Ok(questions)
    }
}

/// The subscriptions that a cancelled order asks for: one a short line, which the message then names.
fn subscribe(
    content: &mut Content,
    customer: CustomerId,
    received: &Received<OrderEvent>,
    now: OffsetDateTime,
) -> Vec<Made> {
    let Content::OrderCancelled { order_id, short, notify_me: true, .. } = content else { return Vec::new() };
    let make = |line: &mut crate::deliver::content::Short| {
        let id = *line.subscription.insert(SubscriptionId::new(now));
        Made {
            id,
            order: *order_id,
            customer,
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.wanted,
            cause: received.cause(),
            at: now,
        }
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
