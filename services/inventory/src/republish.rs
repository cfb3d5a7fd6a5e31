//! The events that the service can publish again: the current state of `products` and `stock`, and the events of `reservations`,
//! rebuilt from the rows.

use broker::{Cause, Compacted, Failure, Keys, Tx};
use broker_ops::{Past, Rebuild, Rebuilt, UuidPage};
use envelope::Topic;
use events::{PRODUCTS, ReservationEvent, STOCK};
use futures::future::BoxFuture;

use crate::store;

type LastKey<'a> = BoxFuture<'a, Result<Option<String>, Failure>>;

pub(crate) struct Products;

impl Compacted for Products {
    fn topic(&self) -> Topic {
        PRODUCTS
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> LastKey<'a> {
        Box::pin(async move {
            let states = store::products::increment_versions(tx, keys).await?;
            Ok(tx.append_states(&states)?)
        })
    }
}

pub(crate) struct Stock;

impl Compacted for Stock {
    fn topic(&self) -> Topic {
        STOCK
    }

    fn republish<'a>(&'a self, tx: &'a mut Tx, keys: Keys<'a>) -> LastKey<'a> {
        Box::pin(async move {
            let states = store::stock::increment_versions(tx, keys).await?;
            Ok(tx.append_states(&states)?)
        })
    }
}

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
