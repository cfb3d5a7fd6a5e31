//! Topic `products`: each event is the whole product.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::ProductEvent;
use events::values::Sku;

use crate::store::products::{self, Row};

/// Folds the service's own `products` into the catalogue.
pub(super) struct Products;

/// The products of a batch.
pub(super) struct State {
    rows: BTreeMap<Sku, Row>,
    told: BTreeMap<Sku, Row>,
}

impl Handler for Products {
    type Event = ProductEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<State, Failure> {
        let skus: Vec<_> = batch.iter().map(|received| received.event.product().sku.as_str()).collect();
        let rows = products::lock_all(tx, &skus).await?;
        let rows = rows.into_iter().map(|row| (row.product.sku.clone(), row)).collect();
        Ok(State { rows, told: BTreeMap::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &ProductEvent) -> Option<&'s mut Sequence> {
        let sku = &event.product().sku;
        state.told.get_mut(sku).or_else(|| state.rows.get_mut(sku)).map(|row| &mut row.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let row = Row::told(&incoming.event, incoming.sequence);
        state.told.insert(row.product.sku.clone(), row);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let told: Vec<_> = state.told.into_values().collect();
        Ok(products::restore(tx, &told).await?)
    }
}
