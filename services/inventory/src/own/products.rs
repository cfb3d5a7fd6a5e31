//! Topic `products`: each event has the whole product.

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::ProductEvent;
use events::values::Sku;

use crate::store::products::{self, Row};

/// The handler of the service's own `products`.
pub(super) struct Products;

/// The products of a batch.
pub(super) struct State {
    stored: BTreeMap<Sku, Row>,
    published: BTreeMap<Sku, Row>,
}

impl Handler for Products {
    type Event = ProductEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<State, Failure> {
        let skus: Vec<_> = batch.iter().map(|received| received.event.product().sku.as_str()).collect();
        let rows = products::load_all(tx, &skus).await?;
        let stored = rows.into_iter().map(|row| (row.product.sku.clone(), row)).collect();
        Ok(State { stored, published: BTreeMap::new() })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &ProductEvent) -> Option<&'s mut Sequence> {
        let sku = &event.product().sku;
        let row = state.published.get_mut(sku).or_else(|| state.stored.get_mut(sku));
        row.map(|row| &mut row.version)
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let row = Row::of(&incoming.event, incoming.sequence);
        state.published.insert(row.product.sku.clone(), row);
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        let rows: Vec<_> = state.published.into_values().collect();
        Ok(products::restore(tx, &rows).await?)
    }
}
