//! The topics that the service consumes: `payments` and `reservations` move orders, `products` is copied to price them.

use std::collections::BTreeMap;

use broker::columns::column;
use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event, Sequence};
use events::values::{OrderId, Sku};
use events::{OrderEvent, PaymentEvent, ProductEvent, ReservationEvent};
use time::OffsetDateTime;

use crate::domain::Order;
use crate::status_log::StatusChange;
use crate::store::{self, products::ProductSnapshot};

/// The handler of a topic whose events answer orders.
pub(crate) struct Answers<E> {
    order_id: fn(&E) -> OrderId,
    last_sequence: fn(&mut Order) -> &mut Sequence,
    apply: fn(&mut Order, &E, OffsetDateTime) -> Option<OrderEvent>,
}

pub(crate) const PAYMENTS: Answers<PaymentEvent> = Answers {
    order_id: PaymentEvent::order_id,
    last_sequence: |order| &mut order.seen_payments,
    apply: Order::apply_payment,
};

pub(crate) const RESERVATIONS: Answers<ReservationEvent> = Answers {
    order_id: ReservationEvent::order_id,
    last_sequence: |order| &mut order.seen_reservations,
    apply: Order::apply_reservation,
};

/// The orders of a batch, and the changes to log after the commit.
pub(crate) struct Orders {
    by_id: BTreeMap<OrderId, Order>,
    changes: Vec<StatusChange>,
}

impl<E: Event> Handler for Answers<E> {
    type Event = E;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<E>]) -> Result<Orders, Failure> {
        let ids = column(batch, |received| (self.order_id)(&received.event).uuid());
        let orders = store::orders::load(tx, &ids).await?;
        let by_id = orders.into_iter().map(|order| (order.id(), order)).collect();
        Ok(Orders { by_id, changes: Vec::new() })
    }

    fn last_sequence<'s>(&self, orders: &'s mut Orders, event: &E) -> Option<&'s mut Sequence> {
        orders.by_id.get_mut(&(self.order_id)(event)).map(self.last_sequence)
    }

    /// Applies an event to its order, and publishes the decision if there is one.
    fn handle(&self, orders: &mut Orders, mut incoming: Incoming<'_, E>) -> Result<(), Rejected> {
        let order = orders.by_id.get_mut(&(self.order_id)(&incoming.event));
        let order = order.ok_or_else(|| Rejected("unknown order".to_owned()))?;
        if let Some(decision) = (self.apply)(order, &incoming.event, incoming.now) {
            incoming.append(order.version, &decision)?;
            orders.changes.push(StatusChange::new(order, &decision, incoming.traceparent.clone()));
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        // An order without new entries had only repeated events.
        let changed: Vec<_> = orders.by_id.values().filter(|order| !order.entries.is_empty()).collect();
        store::orders::save(tx, &changed).await?;
        tx.on_commit(move || orders.changes.into_iter().for_each(StatusChange::log));
        Ok(())
    }
}

/// The handler of `products`.
pub(crate) struct Products;

impl Handler for Products {
    type Event = ProductEvent;
    type State = BTreeMap<Sku, ProductSnapshot>;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<Self::State, Failure> {
        let skus = column(batch, |received| received.event.product().sku.as_str());
        Ok(store::products::load(tx, &skus).await?)
    }

    fn last_sequence<'s>(&self, rows: &'s mut Self::State, event: &ProductEvent) -> Option<&'s mut Sequence> {
        rows.get_mut(&event.product().sku).map(|snapshot| &mut snapshot.last_sequence)
    }

    fn handle(&self, rows: &mut Self::State, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let (product, listed) = (incoming.event.product().clone(), incoming.event.is_listed());
        let snapshot = ProductSnapshot { product, listed, last_sequence: incoming.sequence };
        rows.insert(snapshot.product.sku.clone(), snapshot);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, rows: Self::State) -> Result<(), Failure> {
        Ok(store::products::save(tx, &rows).await?)
    }
}
