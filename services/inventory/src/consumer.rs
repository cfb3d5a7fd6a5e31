//! Topic `orders`: reserves, commits and releases stock. A batch locks its rows, decides in memory in log order, and writes
//! each row once: a product costs one UPDATE per batch, and one `stock.changed` if what is available has changed, however many
//! orders have it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use broker::columns::column;
use broker::{Cause, Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::{Event as _, Sequence};
use events::values::{OrderId, Sku};
use events::{OrderEvent, ReservationEvent, ShortLine, StockEvent};

use crate::domain::{Contradiction, Warehouse};
use crate::store;

/// The handler of `orders`.
pub(crate) struct Orders;

pub(crate) struct Batch {
    warehouse: Warehouse,
    /// The available units of each product before the batch.
    available: BTreeMap<Sku, i64>,
    /// The orders whose reservations are in the database.
    stored: HashSet<OrderId>,
    /// The orders whose reservations are to be written.
    touched: BTreeSet<OrderId>,
    /// The published events, in log order, with their causes.
    answers: Vec<(ReservationEvent, Cause)>,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = Batch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<Batch, Failure> {
        let orders = column(batch, |received| received.event.order_id().uuid());
        let reservations = store::reservations::load(tx, &orders).await?;
        // Stock changes for a new order, and when an order's reserved or committed goods move.
        let mut skus = BTreeSet::new();
        for received in batch {
            match (reservations.get(&received.event.order_id()), &received.event) {
                (None, OrderEvent::Placed(placed)) => {
                    skus.extend(placed.items.iter().map(|item| item.sku.as_str()));
                }
                (Some(reservation), _) if reservation.holds_goods() => {
                    skus.extend(reservation.lines.iter().map(|line| line.sku.as_str()));
                }
                (None, OrderEvent::Confirmed(_) | OrderEvent::Cancelled(_)) | (Some(_), _) => {}
            }
        }
        let shelves = store::stock::load(tx, &Vec::from_iter(skus)).await?;
        Ok(Batch {
            available: shelves.0.iter().map(|(sku, stock)| (sku.clone(), stock.available())).collect(),
            stored: reservations.keys().copied().collect(),
            warehouse: Warehouse { reservations, shelves },
            touched: BTreeSet::new(),
            answers: Vec::with_capacity(batch.len()),
        })
    }

    fn last_sequence<'s>(&self, state: &'s mut Batch, event: &OrderEvent) -> Option<&'s mut Sequence> {
        let reservation = state.warehouse.reservations.get_mut(&event.order_id());
        reservation.map(|reservation| &mut reservation.seen_orders)
    }

    fn handle(&self, state: &mut Batch, mut incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        let answer = state.warehouse.apply(&incoming.event)?;
        let Some(reservation) = state.warehouse.reservations.get_mut(&order_id) else {
            return Ok(());
        };
        reservation.seen_orders = reservation.seen_orders.max(incoming.sequence);
        state.touched.insert(order_id);
        if let Some(answer) = answer {
            incoming.append(reservation.version, &answer)?;
            state.answers.push((answer, incoming.cause()));
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, mut state: Batch) -> Result<(), Failure> {
        store::reservations::save(tx, &state.warehouse.reservations, &state.stored, &state.touched).await?;
        save_stock(tx, &mut state).await?;
        tx.on_commit(move || state.answers.iter().for_each(|(answer, cause)| log(answer, cause)));
        Ok(())
    }
}

/// Writes the changed stock, and publishes the new level of each product of which more or less is available now, caused by the
/// last order that changed it. A committed order changes nothing of that: its goods were reserved.
async fn save_stock(tx: &mut Tx, state: &mut Batch) -> Result<(), Failure> {
    let mut changed: BTreeMap<&Sku, &Cause> = BTreeMap::new();
    for (answer, cause) in &state.answers {
        changed.extend(answer.goods().iter().map(|line| (&line.sku, cause)));
    }
    let mut rows = Vec::with_capacity(changed.len());
    for (sku, cause) in changed {
        let Some(stock) = state.warehouse.shelves.0.get_mut(sku) else { continue };
        if state.available.get(sku) != Some(&stock.available()) {
            stock.version = stock.version.next();
            tx.append(cause.clone(), stock.version, &StockEvent::Changed(stock.level(sku.clone())))?;
        }
        rows.push((sku, *stock));
    }
    Ok(store::stock::save(tx, &rows).await?)
}

fn log(answer: &ReservationEvent, cause: &Cause) {
    let (order_id, event_type) = (answer.order_id(), answer.ce_type());
    let traceparent = cause.traceparent.as_deref();
    let (change, short) = match answer {
        ReservationEvent::Reserved(_) => ("stock reserved", None),
        ReservationEvent::Rejected(rejected) => ("stock rejected", Some(in_words(&rejected.short))),
        ReservationEvent::Committed(_) => ("stock committed", None),
        ReservationEvent::Released(_) => ("stock released", None),
    };
    tracing::info!(%order_id, short, event_type, traceparent, "{change}");
}

/// Formats short lines: `MUG-BLUE: 3 wanted, 1 available; …`
fn in_words(short: &[ShortLine]) -> String {
    let line = |line: &ShortLine| {
        format!("{}: {} wanted, {} available", line.sku, line.wanted.get(), line.available)
    };
    short.iter().map(line).collect::<Vec<_>>().join("; ")
}

impl From<Contradiction> for Rejected {
    fn from(contradiction: Contradiction) -> Self {
        Self(contradiction.to_string())
    }
}
