//! The topics that the inventory owns, read by their publisher: they roll a database that was restored from an older copy
//! forward to its published events.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use broker::columns::column;
use broker::{Failure, Handler, Incoming, Received, Rejected, Subscription, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{ProductEvent, ReservationEvent, StockEvent};

use crate::domain::{Shelves, Warehouse};
use crate::store;
use crate::store::products::Row;

/// One handler per topic, in the order in which a restored database needs them: a product gets its stock row before its
/// reservations are counted, and its level is compared with all reservations.
pub(crate) fn subscriptions() -> Vec<Subscription> {
    vec![Subscription::new(Products), Subscription::new(Reservations), Subscription::new(Levels)]
}

/// The handler of the service's own `products`: each event has the whole product.
struct Products;

struct ProductBatch {
    stored: BTreeMap<Sku, Row>,
    published: BTreeMap<Sku, Row>,
}

impl Handler for Products {
    type Event = ProductEvent;
    type State = ProductBatch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<ProductBatch, Failure> {
        let skus = column(batch, |received| received.event.product().sku.as_str());
        let rows = store::products::load(tx, &skus).await?;
        let stored = rows.into_iter().map(|row| (row.product.sku.clone(), row)).collect();
        Ok(ProductBatch { stored, published: BTreeMap::new() })
    }

    fn last_sequence<'s>(
        &self,
        state: &'s mut ProductBatch,
        event: &ProductEvent,
    ) -> Option<&'s mut Sequence> {
        let sku = &event.product().sku;
        let row = state.published.get_mut(sku).or_else(|| state.stored.get_mut(sku));
        row.map(|row| &mut row.version)
    }

    fn handle(&self, state: &mut Self::State, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let row = Row::of(&incoming.event, incoming.sequence);
        state.published.insert(row.product.sku.clone(), row);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: ProductBatch) -> Result<(), Failure> {
        let rows: Vec<_> = state.published.into_values().collect();
        store::products::save(tx, &rows).await?;
        Ok(store::stock::insert(tx, &column(&rows, |row| row.product.sku.as_str())).await?)
    }
}

/// The handler of the service's own `reservations`: each event has the state of an order's reservation. Rolls the reservations
/// forward, and the reserved and committed stock.
struct Reservations;

/// The reservations of a batch, and the stock of their products.
struct ReservationBatch {
    warehouse: Warehouse,
    /// The orders whose reservations are in the database.
    stored: HashSet<OrderId>,
    /// The orders whose reservations are to be written.
    touched: BTreeSet<OrderId>,
}

impl Handler for Reservations {
    type Event = ReservationEvent;
    type State = ReservationBatch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ReservationEvent>]) -> Result<Self::State, Failure> {
        let orders = column(batch, |received| received.event.order_id().uuid());
        let reservations = store::reservations::load(tx, &orders).await?;
        let known = reservations.values().flat_map(|reservation| &reservation.lines);
        let published = batch.iter().flat_map(|received| received.event.goods());
        let skus = column(known.chain(published), |line| line.sku.as_str());
        let shelves = store::stock::load(tx, &skus).await?;
        let stored = reservations.keys().copied().collect();
        let warehouse = Warehouse { reservations, shelves };
        Ok(ReservationBatch { warehouse, stored, touched: BTreeSet::new() })
    }

    fn last_sequence<'s>(
        &self,
        state: &'s mut ReservationBatch,
        event: &ReservationEvent,
    ) -> Option<&'s mut Sequence> {
        let reservation = state.warehouse.reservations.get_mut(&event.order_id());
        reservation.map(|reservation| &mut reservation.version)
    }

    fn handle(
        &self,
        state: &mut ReservationBatch,
        incoming: Incoming<'_, ReservationEvent>,
    ) -> Result<(), Rejected> {
        state.warehouse.recover(&incoming.event, incoming.sequence);
        state.touched.insert(incoming.event.order_id());
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: ReservationBatch) -> Result<(), Failure> {
        let Warehouse { reservations, shelves } = &state.warehouse;
        store::reservations::save(tx, reservations, &state.stored, &state.touched).await?;
        Ok(store::stock::save(tx, &shelves.rows()).await?)
    }
}

/// The handler of the service's own `stock`: each event has the level of a product.
struct Levels;

impl Handler for Levels {
    type Event = StockEvent;
    type State = Shelves;

    async fn load(&self, tx: &mut Tx, batch: &[Received<StockEvent>]) -> Result<Shelves, Failure> {
        let skus = column(batch, |received| received.event.level().sku.as_str());
        Ok(store::stock::load(tx, &skus).await?)
    }

    fn last_sequence<'s>(&self, shelves: &'s mut Shelves, event: &StockEvent) -> Option<&'s mut Sequence> {
        shelves.0.get_mut(&event.level().sku).map(|stock| &mut stock.version)
    }

    fn handle(&self, shelves: &mut Shelves, incoming: Incoming<'_, StockEvent>) -> Result<(), Rejected> {
        // `products` was rolled forward before, so each of its products has a stock row.
        if let Some(stock) = shelves.0.get_mut(&incoming.event.level().sku) {
            stock.recover(&incoming.event, incoming.sequence);
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, shelves: Shelves) -> Result<(), Failure> {
        Ok(store::stock::save(tx, &shelves.rows()).await?)
    }
}
