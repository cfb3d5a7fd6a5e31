//! What the service follows: `payments` and `reservations` move orders on, `products` is its copy of the catalogue.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{OrderEvent, PaymentEvent, ProductEvent, ReservationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::announce::Announcement;
use crate::domain::Order;
use crate::store::{self, products::ProductSnapshot};

/// Payment's answers.
pub(crate) struct Payments;

impl Handler for Payments {
    type Event = PaymentEvent;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<Orders, Failure> {
        Orders::load(tx, batch.iter().map(|received| received.event.order_id())).await
    }

    fn last_sequence<'s>(&self, orders: &'s mut Orders, event: &PaymentEvent) -> Option<&'s mut Sequence> {
        orders.known.get_mut(&event.order_id()).map(|order| &mut order.seen_payments)
    }

    fn handle(&self, orders: &mut Orders, incoming: Incoming<'_, PaymentEvent>) -> Result<(), Rejected> {
        let event = &incoming.received.event;
        orders.apply(event.order_id(), incoming, |order, now| order.hear_payment(event, now))
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }
}

/// Inventory's answers.
pub(crate) struct Reservations;

impl Handler for Reservations {
    type Event = ReservationEvent;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ReservationEvent>]) -> Result<Orders, Failure> {
        Orders::load(tx, batch.iter().map(|received| received.event.order_id())).await
    }

    fn last_sequence<'s>(
        &self,
        orders: &'s mut Orders,
        event: &ReservationEvent,
    ) -> Option<&'s mut Sequence> {
        orders.known.get_mut(&event.order_id()).map(|order| &mut order.seen_reservations)
    }

    fn handle(&self, orders: &mut Orders, incoming: Incoming<'_, ReservationEvent>) -> Result<(), Rejected> {
        let event = &incoming.received.event;
        orders.apply(event.order_id(), incoming, |order, now| order.hear_reservation(event, now))
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }
}

/// The orders of a batch, and what is to be told of them.
pub(crate) struct Orders {
    known: BTreeMap<OrderId, Order>,
    told: Vec<Announcement>,
}

impl Orders {
    async fn load(tx: &mut Tx, ids: impl Iterator<Item = OrderId>) -> Result<Self, Failure> {
        let ids: Vec<Uuid> = ids.map(OrderId::uuid).collect();
        let orders = store::orders::load(tx, &ids).await?;
        let known = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(Self { known, told: Vec::new() })
    }

    /// Applies an event to its order. Publishes the decision, if there is one, and logs it after the commit.
    fn apply<E>(
        &mut self,
        id: OrderId,
        mut incoming: Incoming<'_, E>,
        apply: impl FnOnce(&mut Order, OffsetDateTime) -> Option<OrderEvent>,
    ) -> Result<(), Rejected> {
        let order = self.known.get_mut(&id).ok_or_else(|| Rejected("unknown order".to_owned()))?;
        if let Some(decision) = apply(order, incoming.now) {
            incoming.append(order.version, &decision)?;
            self.told.push(Announcement::of(order, incoming.traceparent.clone()));
        }
        Ok(())
    }

    async fn save(self, tx: &mut Tx) -> Result<(), Failure> {
        // Without news all its events were repetitions.
        let changed: Vec<&Order> = self.known.values().filter(|order| !order.news.is_empty()).collect();
        if !changed.is_empty() {
            store::orders::save(tx, &changed).await?;
        }
        tx.on_commit(move || self.told.into_iter().for_each(Announcement::make));
        Ok(())
    }
}

/// The catalogue.
pub(crate) struct Products;

impl Handler for Products {
    type Event = ProductEvent;
    type State = BTreeMap<Sku, ProductSnapshot>;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<Self::State, Failure> {
        let skus: Vec<&str> = batch.iter().map(|received| received.event.product().sku.as_str()).collect();
        Ok(store::products::load(tx, &skus).await?)
    }

    fn last_sequence<'s>(
        &self,
        copies: &'s mut Self::State,
        event: &ProductEvent,
    ) -> Option<&'s mut Sequence> {
        copies.get_mut(&event.product().sku).map(|copy| &mut copy.seen)
    }

    fn handle(&self, copies: &mut Self::State, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let product = incoming.event.product();
        let copy = ProductSnapshot {
            product: product.clone(),
            listed: matches!(incoming.event, ProductEvent::Listed(_)),
            seen: incoming.sequence,
        };
        copies.insert(product.sku.clone(), copy);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, copies: Self::State) -> Result<(), Failure> {
        Ok(store::products::save(tx, &copies).await?)
    }
}
