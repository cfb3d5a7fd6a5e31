//! Topic `orders`: reserves, commits and releases. A batch locks what it needs, decides in memory in log order, and
//! writes each row once: a hot product costs one UPDATE and one `stock.changed` a batch, not one an order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use broker::{Cause, Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{OrderId, Sku};
use events::{OrderEvent, ReservationEvent, ShortLine, StockEvent};

use crate::domain::{Contradiction, Reservation, Warehouse};
use crate::store;

/// Folds `orders` into the reservations and the stock.
pub(crate) struct Orders;

/// What a batch works on.
pub(crate) struct Batch {
    warehouse: Warehouse,
    /// The orders whose reservations are in the database.
    stored: HashSet<OrderId>,
    /// The orders whose reservations are to be written.
    touched: BTreeSet<OrderId>,
    /// What was answered, in log order, and what caused it.
    answers: Vec<(ReservationEvent, Cause)>,
}

impl Handler for Orders {
    type Event = OrderEvent;
    type State = Batch;

    async fn load(&self, tx: &mut Tx, batch: &[Received<OrderEvent>]) -> Result<Batch, Failure> {
        let orders: BTreeSet<_> = batch.iter().map(|received| received.event.order_id().uuid()).collect();
        let orders: Vec<_> = orders.into_iter().collect();
        let reservations = store::reservations::lock(tx, &orders).await?;
        // Goods move when an order is new, or when what is set aside for it is committed or released.
        let mut skus = BTreeSet::new();
        for received in batch {
            match (reservations.get(&received.event.order_id()), &received.event) {
                (None, OrderEvent::Placed(placed)) => {
                    skus.extend(placed.items.iter().map(|item| item.sku.as_str()));
                }
                (Some(reservation), _) if reservation.holds_goods() => {
                    skus.extend(reservation.lines.iter().map(|line| line.sku.as_str()));
                }
                _ => {}
            }
        }
        let skus: Vec<_> = skus.into_iter().collect();
        let shelves = store::stock::lock(tx, &skus).await?;
        Ok(Batch {
            stored: reservations.keys().copied().collect(),
            warehouse: Warehouse { reservations, shelves },
            touched: BTreeSet::new(),
            answers: Vec::with_capacity(batch.len()),
        })
    }

    fn last_sequence<'s>(&self, state: &'s mut Batch, event: &OrderEvent) -> Option<&'s mut Sequence> {
        state.warehouse.reservations.get_mut(&event.order_id()).map(|reservation| &mut reservation.seen)
    }

    fn handle(&self, state: &mut Batch, mut incoming: Incoming<'_, OrderEvent>) -> Result<(), Rejected> {
        let order_id = incoming.event.order_id();
        let answer = state.warehouse.apply(&incoming.event)?;
        let Some(reservation) = state.warehouse.reservations.get_mut(&order_id) else {
            return Ok(());
        };
        reservation.seen = reservation.seen.max(incoming.sequence);
        state.touched.insert(order_id);
        if let Some(answer) = answer {
            incoming.append(reservation.version, &answer)?;
            state.answers.push((answer, incoming.cause()));
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, mut state: Batch) -> Result<(), Failure> {
        save_reservations(tx, &state).await?;
        save_stock(tx, &mut state).await?;
        tx.on_commit(move || state.answers.iter().for_each(|(answer, cause)| tell(answer, cause)));
        Ok(())
    }
}

async fn save_reservations(tx: &mut Tx, state: &Batch) -> Result<(), Failure> {
    let (mut new, mut known): (Vec<(OrderId, &Reservation)>, Vec<_>) = (Vec::new(), Vec::new());
    for order in &state.touched {
        let Some(reservation) = state.warehouse.reservations.get(order) else { continue };
        let rows = if state.stored.contains(order) { &mut known } else { &mut new };
        rows.push((*order, reservation));
    }
    let inserted = store::reservations::insert(tx, &new).await?;
    if inserted != new.len() as u64 {
        // A redrive answered one of these orders meanwhile: decide again, knowing that.
        return Err(Failure::Retry("another writer answered an order of this batch".into()));
    }
    Ok(store::reservations::update(tx, &known).await?)
}

/// Writes what moved, and tells each product's new level once, caused by the last order that moved it.
async fn save_stock(tx: &mut Tx, state: &mut Batch) -> Result<(), Failure> {
    let mut moved: BTreeMap<&Sku, &Cause> = BTreeMap::new();
    for (answer, cause) in &state.answers {
        moved.extend(answer.goods().iter().map(|line| (&line.sku, cause)));
    }
    let mut rows = Vec::with_capacity(moved.len());
    for (sku, cause) in moved {
        let Some(stock) = state.warehouse.shelves.0.get_mut(sku) else { continue };
        stock.version = stock.version.next();
        tx.append(cause.clone(), stock.version, &StockEvent::Changed(stock.level(sku.clone())))?;
        rows.push((sku, *stock));
    }
    Ok(store::stock::save(tx, &rows).await?)
}

fn tell(answer: &ReservationEvent, cause: &Cause) {
    let (order_id, traceparent) = (answer.order_id(), cause.traceparent.as_deref());
    match answer {
        ReservationEvent::Reserved(_) => {
            tracing::info!(%order_id, event_type = "stock.reserved.v1", traceparent, "stock reserved");
        }
        ReservationEvent::Rejected(rejected) => {
            let (short, event_type) = (in_words(&rejected.short), "stock.rejected.v1");
            tracing::info!(%order_id, short, event_type, traceparent, "stock rejected");
        }
        ReservationEvent::Committed(_) => {
            tracing::info!(%order_id, event_type = "stock.committed.v1", traceparent, "stock committed");
        }
        ReservationEvent::Released(_) => {
            tracing::info!(%order_id, event_type = "stock.released.v1", traceparent, "stock released");
        }
    }
}

/// `MUG-BLUE: 3 wanted, 1 available; …`
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
