//! Topic `stock`: the copy of the levels; one that has risen is due for a wave.

use broker::{Appends, Failure, Fold, Received, Rejected, Tx};
use envelope::Sequence;
use events::StockEvent;
use time::OffsetDateTime;

use super::Consumers;
use crate::notify_me::stock::{self, Levels};

/// The fold of `stock`.
pub(crate) struct Stock(pub Consumers);

impl Fold for Stock {
    type Event = StockEvent;
    type State = Levels;

    async fn load(&self, tx: &mut Tx, batch: &[Received<StockEvent>]) -> Result<Levels, Failure> {
        let skus: Vec<String> = batch.iter().map(|received| received.event.level().sku.to_string()).collect();
        Ok(stock::load(tx, &skus).await?)
    }

    fn seen<'s>(&self, state: &'s mut Levels, event: &StockEvent) -> Option<&'s mut Sequence> {
        Some(&mut state.entry(event.level().sku.clone()).or_default().seen)
    }

    fn decide(
        &self,
        state: &mut Levels,
        received: &Received<StockEvent>,
        _now: OffsetDateTime,
        _out: &mut Appends,
    ) -> Result<(), Rejected> {
        let level = received.event.level();
        state.entry(level.sku.clone()).or_default().apply(level, received.cause());
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: Levels) -> Result<(), Failure> {
        stock::save(tx, &state).await?;
        self.0.wake_waves_on(tx);
        Ok(())
    }
}
