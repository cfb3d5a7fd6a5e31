//! Topic `stock`: each event has the level of a product.

use std::collections::BTreeSet;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::StockEvent;
use events::values::Sku;

use crate::domain::Shelves;
use crate::store;

/// The handler of the service's own `stock`.
pub(super) struct Levels;

/// The stock of a batch.
pub(super) struct State {
    shelves: Shelves,
    changed: BTreeSet<Sku>,
}

impl Handler for Levels {
    type Event = StockEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<StockEvent>]) -> Result<State, Failure> {
        let skus: BTreeSet<_> = batch.iter().map(|received| received.event.level().sku.as_str()).collect();
        let skus: Vec<_> = skus.into_iter().collect();
        Ok(State { shelves: store::stock::load(tx, &skus).await?, changed: BTreeSet::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &StockEvent) -> Option<&'s mut Sequence> {
        state.shelves.0.get_mut(&event.level().sku).map(|stock| &mut stock.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, StockEvent>) -> Result<(), Rejected> {
        let sku = &incoming.event.level().sku;
        // `products` was rolled forward before, so each of its products has a stock row.
        if let Some(stock) = state.shelves.0.get_mut(sku) {
            stock.recover(&incoming.event, incoming.sequence);
            state.changed.insert(sku.clone());
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let rows = state.changed.iter().filter_map(|sku| Some((sku, *state.shelves.0.get(sku)?)));
        Ok(store::stock::save(tx, &rows.collect::<Vec<_>>()).await?)
    }
}
