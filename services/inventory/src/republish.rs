//! The events that the service can publish again: the current state of `products` and `stock`, and the events of `reservations`, rebuilt
//! from the rows.

use std::pin::Pin;

use broker::{Cause, Compacted, Failure, Keys, Tx};
use broker_ops::{Past, Rebuild, Rebuilt, UuidPage};
use envelope::Topic;
use events::{PRODUCTS, ReservationEvent, STOCK, StockEvent};

use crate::store;

/// The last published key, if any.
type Republished<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>>;

/// Topic `products`.
pub(crate) struct Products;

impl Compacted for Products {
    fn topic(&self) -> Topic {
        PRODUCTS
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> Republished<'a> {
        Box::pin(async move {
            let mut last = None;
            for row in store::products::increment_versions(tx, keys).await? {
                last = Some(row.product.sku.to_string());
                tx.append(Cause::default(), row.version, &row.into_event())?;
            }
            Ok(last)
        })
    }
}

/// Topic `stock`.
pub(crate) struct Stock;

impl Compacted for Stock {
    fn topic(&self) -> Topic {
        STOCK
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> Republished<'a> {
        Box::pin(async move {
            let mut last = None;
            for (version, level) in store::stock::increment_versions(tx, keys).await? {
                last = Some(level.sku.to_string());
                // Not a replenishment, since no goods came in.
                tx.append(Cause::default(), version, &StockEvent::Changed(level))?;
            }
            Ok(last)
        })
    }
}

/// Topic `reservations`.
pub(crate) struct Reservations;

impl Rebuild for Reservations {
    type Event = ReservationEvent;

    async fn rebuild(&self, tx: &mut Tx, page: UuidPage) -> Result<Vec<Rebuilt<ReservationEvent>>, Failure> {
        let reservations = store::reservations::page(tx, &page).await?;
        let rebuilt = reservations.into_iter().map(|(order_id, reservation, at)| {
            // The row has the time of the last event only.
            let past = |(sequence, event)| Past { sequence, at, cause: Cause::default(), event };
            let events = reservation.published(order_id).into_iter().map(past).collect();
            Rebuilt { key: order_id.to_string(), version: reservation.version, events }
        });
        Ok(rebuilt.collect())
    }
}
