//! The topics that the service consumes: `payments` and `reservations` move orders, `products` is copied to price them.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{OrderEvent, PaymentEvent, ProductEvent, ReservationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::Order;
use crate::status_log::StatusChange;
use crate::store::{self, products::ProductSnapshot};

/// The handler of `payments`.
pub(crate) struct Payments;

impl Handler for Payments {
    type Event = PaymentEvent;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<Orders, Failure> {
        Orders::load(tx, batch.iter().map(|received| received.event.order_id())).await
    }

    fn last_sequence<'s>(&self, orders: &'s mut Orders, event: &PaymentEvent) -> Option<&'s mut Sequence> {
        orders.by_id.get_mut(&event.order_id()).map(|order| &mut order.seen_payments)
    }

    fn handle(&self, orders: &mut Orders, incoming: Incoming<'_, PaymentEvent>) -> Result<(), Rejected> {
        let event = &incoming.received.event;
        orders.apply(event.order_id(), incoming, |order, now| order.apply_payment(event, now))
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }
}

/// The handler of `reservations`.
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
        orders.by_id.get_mut(&event.order_id()).map(|order| &mut order.seen_reservations)
    }

    fn handle(&self, orders: &mut Orders, incoming: Incoming<'_, ReservationEvent>) -> Result<(), Rejected> {
        let event = &incoming.received.event;
        orders.apply(event.order_id(), incoming, |order, now| order.apply_reservation(event, now))
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }
}

/// The orders of a batch, and the changes to log after the commit.
pub(crate) struct Orders {
    by_id: BTreeMap<OrderId, Order>,
    changes: Vec<StatusChange>,
}

impl Orders {
    async fn load(tx: &mut Tx, ids: impl Iterator<Item = OrderId>) -> Result<Self, Failure> {
        let ids: Vec<Uuid> = ids.map(OrderId::uuid).collect();
        let orders = store::orders::load(tx, &ids).await?;
        let by_id = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(Self { by_id, changes: Vec::new() })
    }

    /// Applies an event to its order, and publishes the decision if there is one.
    fn apply<E>(
        &mut self,
        id: OrderId,
        mut incoming: Incoming<'_, E>,
        apply: impl FnOnce(&mut Order, OffsetDateTime) -> Option<OrderEvent>,
    ) -> Result<(), Rejected> {
        let order = self.by_id.get_mut(&id).ok_or_else(|| Rejected("unknown order".to_owned()))?;
        if let Some(decision) = apply(order, incoming.now) {
            incoming.append(order.version, &decision)?;
            self.changes.push(StatusChange::new(order, &decision, incoming.traceparent.clone()));
        }
        Ok(())
    }

    async fn save(self, tx: &mut Tx) -> Result<(), Failure> {
        // An order without new entries had only repeated events.
        let changed: Vec<&Order> = self.by_id.values().filter(|order| !order.entries.is_empty()).collect();
        store::orders::save(tx, &changed).await?;
        tx.on_commit(move || self.changes.into_iter().for_each(StatusChange::log));
        Ok(())
    }
}

/// The handler of `products`.
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
        snapshots: &'s mut Self::State,
        event: &ProductEvent,
    ) -> Option<&'s mut Sequence> {
        snapshots.get_mut(&event.product().sku).map(|snapshot| &mut snapshot.last_sequence)
    }

    fn handle(
        &self,
        snapshots: &mut Self::State,
        incoming: Incoming<'_, ProductEvent>,
    ) -> Result<(), Rejected> {
        let product = incoming.event.product().clone();
        let listed = match &incoming.event {
            ProductEvent::Listed(_) => true,
            ProductEvent::Delisted(_) => false,
        };
        let last_sequence = incoming.sequence;
        snapshots.insert(product.sku.clone(), ProductSnapshot { product, listed, last_sequence });
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, snapshots: Self::State) -> Result<(), Failure> {
        Ok(store::products::save(tx, &snapshots).await?)
    }
}
