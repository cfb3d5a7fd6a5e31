//! What the service follows: `payments` and `reservations` move orders on, `products` is its copy of the catalogue.

use std::collections::BTreeMap;

use broker::{Appends, Failure, Fold, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{OrderEvent, PaymentEvent, ProductEvent, ReservationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::announce::Announcements;
use crate::domain::Order;
use crate::store::{self, products::Copy};

/// Payment's answers.
#[derive(Default)]
pub(crate) struct Payments(Announcements);

impl Fold for Payments {
    type Event = PaymentEvent;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<PaymentEvent>]) -> Result<Orders, Failure> {
        self.0.forget();
        Orders::load(tx, batch.iter().map(|received| received.event.order_id())).await
    }

    fn seen<'s>(&self, orders: &'s mut Orders, event: &PaymentEvent) -> Option<&'s mut Sequence> {
        orders.0.get_mut(&event.order_id()).map(|order| &mut order.seen_payments)
    }

    fn decide(
        &self,
        orders: &mut Orders,
        received: &Received<PaymentEvent>,
        now: OffsetDateTime,
        out: &mut Appends,
    ) -> Result<(), Rejected> {
        let order = orders.get(received.event.order_id())?;
        let decided = order.hear_payment(&received.event, now);
        append(order, decided, out, &self.0)
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }

    fn committed(&self) {
        self.0.make();
    }
}

/// Inventory's answers.
#[derive(Default)]
pub(crate) struct Reservations(Announcements);

impl Fold for Reservations {
    type Event = ReservationEvent;
    type State = Orders;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ReservationEvent>]) -> Result<Orders, Failure> {
        self.0.forget();
        Orders::load(tx, batch.iter().map(|received| received.event.order_id())).await
    }

    fn seen<'s>(&self, orders: &'s mut Orders, event: &ReservationEvent) -> Option<&'s mut Sequence> {
        orders.0.get_mut(&event.order_id()).map(|order| &mut order.seen_reservations)
    }

    fn decide(
        &self,
        orders: &mut Orders,
        received: &Received<ReservationEvent>,
        now: OffsetDateTime,
        out: &mut Appends,
    ) -> Result<(), Rejected> {
        let order = orders.get(received.event.order_id())?;
        let decided = order.hear_reservation(&received.event, now);
        append(order, decided, out, &self.0)
    }

    async fn save(&self, tx: &mut Tx, orders: Orders) -> Result<(), Failure> {
        orders.save(tx).await
    }

    fn committed(&self) {
        self.0.make();
    }
}

/// The orders of a batch.
pub(crate) struct Orders(BTreeMap<OrderId, Order>);

impl Orders {
    async fn load(tx: &mut Tx, ids: impl Iterator<Item = OrderId>) -> Result<Self, Failure> {
        let ids: Vec<Uuid> = ids.map(OrderId::uuid).collect();
        let orders = store::orders::load(tx, &ids).await?;
        Ok(Self(orders.into_iter().map(|order| (order.id(), order)).collect()))
    }

    fn get(&mut self, id: OrderId) -> Result<&mut Order, Rejected> {
        self.0.get_mut(&id).ok_or_else(|| Rejected("unknown order".to_owned()))
    }

    async fn save(self, tx: &mut Tx) -> Result<(), Failure> {
        // Without news all its events were repetitions.
        let changed: Vec<&Order> = self.0.values().filter(|order| !order.news.is_empty()).collect();
        if !changed.is_empty() {
            store::orders::save(tx, &changed).await?;
        }
        Ok(())
    }
}

fn append(
    order: &Order,
    decided: Option<OrderEvent>,
    out: &mut Appends,
    announcements: &Announcements,
) -> Result<(), Rejected> {
    if let Some(event) = decided {
        out.append(order.version, &event)?;
        announcements.add(order);
    }
    Ok(())
}

/// The catalogue.
pub(crate) struct Products;

impl Fold for Products {
    type Event = ProductEvent;
    type State = BTreeMap<Sku, Copy>;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<Self::State, Failure> {
        let skus: Vec<&str> = batch.iter().map(|received| received.event.product().sku.as_str()).collect();
        Ok(store::products::load(tx, &skus).await?)
    }

    fn seen<'s>(&self, copies: &'s mut Self::State, event: &ProductEvent) -> Option<&'s mut Sequence> {
        copies.get_mut(&event.product().sku).map(|copy| &mut copy.seen)
    }

    fn decide(
        &self,
        copies: &mut Self::State,
        received: &Received<ProductEvent>,
        _now: OffsetDateTime,
        _out: &mut Appends,
    ) -> Result<(), Rejected> {
        let product = received.event.product();
        let copy = Copy {
            product: product.clone(),
            listed: matches!(received.event, ProductEvent::Listed(_)),
            seen: received.sequence,
        };
        copies.insert(product.sku.clone(), copy);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, copies: Self::State) -> Result<(), Failure> {
        Ok(store::products::save(tx, &copies).await?)
    }
}
