//! Topic `products`: copies the catalogue.

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::ProductEvent;

use super::Consumers;
use crate::store::products::{self, Products};

pub(crate) struct Catalogue(pub Consumers);

impl Handler for Catalogue {
    type Event = ProductEvent;
    type State = Products;

    async fn load(&self, tx: &mut Tx, batch: &[Received<ProductEvent>]) -> Result<Products, Failure> {
        let skus: Vec<String> =
            batch.iter().map(|received| received.event.product().sku.to_string()).collect();
        Ok(products::load(tx, &skus).await?)
    }

    fn last_sequence<'s>(&self, state: &'s mut Products, event: &ProductEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.entry(event.product().sku.clone()).or_default().last_sequence)
    }

    fn handle(&self, state: &mut Products, incoming: Incoming<'_, ProductEvent>) -> Result<(), Rejected> {
        let product = state.entry(incoming.event.product().sku.clone()).or_default();
        product.event = Some(incoming.event.clone());
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Products) -> Result<(), Failure> {
        products::save(tx, &state).await?;
        self.0.wakes.waves_after(tx);
        Ok(())
    }
}
