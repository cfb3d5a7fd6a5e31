//! Topic `stock`: each event is a level of a product's shelf.

use std::collections::BTreeSet;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::StockEvent;
use events::values::Sku;

use crate::domain::Shelves;
use crate::store;

/// Folds the service's own `stock` into the shelves.
pub(super) struct Levels;

/// The shelves of a batch.
pub(super) struct State {
    shelves: Shelves,
    told: BTreeSet<Sku>,
}

impl Handler for Levels {
    type Event = StockEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<StockEvent>]) -> Result<State, Failure> {
        let skus: BTreeSet<_> = batch.iter().map(|received| received.event.level().sku.as_str()).collect();
        let skus: Vec<_> = skus.into_iter().collect();
        Ok(State { shelves: store::stock::lock(tx, &skus).await?, told: BTreeSet::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &StockEvent) -> Option<&'s mut Sequence> {
        state.shelves.0.get_mut(&event.level().sku).map(|stock| &mut stock.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, StockEvent>) -> Result<(), Rejected> {
        let sku = &incoming.event.level().sku;
        // `products` is rolled forward before, and each of its products has a shelf.
        if let Some(stock) = state.shelves.0.get_mut(sku) {
            stock.recover(&incoming.event, incoming.sequence);
            state.told.insert(sku.clone());
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let rows = state.told.iter().filter_map(|sku| Some((sku, *state.shelves.0.get(sku)?)));
        Ok(store::stock::save(tx, &rows.collect::<Vec<_>>()).await?)
    }
}
