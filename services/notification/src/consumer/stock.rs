//! Topic `stock`: copies the levels; a product whose level has risen is due for a wave.

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::StockEvent;

use super::Consumers;
use crate::store::stock::{self, Levels};

pub(crate) struct Stock(pub Consumers);

impl Handler for Stock {
    type Event = StockEvent;
    type State = Levels;

    async fn load(&self, tx: &mut Tx, batch: &[Received<StockEvent>]) -> Result<Levels, Failure> {
        let skus: Vec<String> = batch.iter().map(|received| received.event.level().sku.to_string()).collect();
        Ok(stock::load(tx, &skus).await?)
    }

    fn last_sequence<'s>(&self, state: &'s mut Levels, event: &StockEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.entry(event.level().sku.clone()).or_default().last_sequence)
    }

    fn handle(&self, state: &mut Levels, incoming: Incoming<'_, StockEvent>) -> Result<(), Rejected> {
        let level = incoming.event.level();
        state.entry(level.sku.clone()).or_default().apply(level, incoming.cause());
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Levels) -> Result<(), Failure> {
        stock::save(tx, &state).await?;
        // What else a wave has to look at may wait for its interval.
        if state.values().any(|level| level.risen) {
            self.0.wakes.waves_after(tx);
        }
        Ok(())
    }
}
