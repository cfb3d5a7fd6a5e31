//! Topic `reservations`: each event has the state of an order's reservation.

use std::collections::{BTreeSet, HashSet};

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{Line, ReservationEvent};

use crate::domain::Warehouse;
use crate::store;

/// The handler of the service's own `reservations`: rolls the reservations forward, and the reserved and committed stock.
pub(super) struct Reservations;

/// The reservations of a batch, and the stock of their products.
pub(super) struct State {
    warehouse: Warehouse,
    /// The orders whose reservations are in the database.
    stored: HashSet<OrderId>,
    /// The orders whose reservations are to be written, and the products of their lines.
    touched: BTreeSet<OrderId>,
    moved: BTreeSet<Sku>,
}

impl Handler for Reservations {
    type Event = ReservationEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ReservationEvent>]) -> Result<State, Failure> {
        let orders: BTreeSet<_> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let orders: Vec<_> = orders.into_iter().collect();
        let reservations = store::reservations::load(tx, &orders).await?;
        let known = reservations.values().flat_map(|reservation| &reservation.lines);
        let published = batch.iter().flat_map(|received| received.event.goods());
        let skus: BTreeSet<_> = known.chain(published).map(|line| line.sku.as_str()).collect();
        let skus: Vec<_> = skus.into_iter().collect();
        let shelves = store::stock::load(tx, &skus).await?;
        let stored = reservations.keys().copied().collect();
        let warehouse = Warehouse { reservations, shelves };
        Ok(State { warehouse, stored, touched: BTreeSet::new(), moved: BTreeSet::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &ReservationEvent) -> Option<&'s mut Sequence> {
        let reservation = state.warehouse.reservations.get_mut(&event.order_id());
        reservation.map(|reservation| &mut reservation.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, ReservationEvent>) -> Result<(), Rejected> {
        let order = incoming.event.order_id();
        state.warehouse.recover(&incoming.event, incoming.sequence);
        state.touched.insert(order);
        let lines = state.warehouse.reservations.get(&order).map(|reservation| &reservation.lines);
        let moved = lines.into_iter().flatten().map(|Line { sku, .. }| sku.clone());
        state.moved.extend(moved);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let Warehouse { reservations, shelves } = &state.warehouse;
        let rows = state.touched.iter().filter_map(|order| Some((*order, reservations.get(order)?)));
        let (stored, new): (Vec<_>, Vec<_>) = rows.partition(|(order, _)| state.stored.contains(order));
        store::reservations::insert(tx, &new).await?;
        store::reservations::update(tx, &stored).await?;
        let moved = state.moved.iter().filter_map(|sku| Some((sku, *shelves.0.get(sku)?)));
        Ok(store::stock::save(tx, &moved.collect::<Vec<_>>()).await?)
    }
}
