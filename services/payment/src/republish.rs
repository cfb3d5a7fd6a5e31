//! The events of `payments`, rebuilt from the payments' rows, to publish again what the topic has lost.

use broker::{Failure, Tx};
use broker_ops::{Past, Rebuild, Rebuilt, UuidPage};
use events::PaymentEvent;

use crate::domain::{Entry, Payment};
use crate::store;

pub(crate) struct Payments;

impl Rebuild for Payments {
    type Event = PaymentEvent;

    async fn rebuild(&self, tx: &mut Tx, page: UuidPage) -> Result<Vec<Rebuilt<PaymentEvent>>, Failure> {
        let payments = store::page(tx, &page).await?;
        Ok(payments.iter().map(|(payment, history)| rebuilt(payment, history)).collect())
    }
}

fn rebuilt(payment: &Payment, history: &[Entry]) -> Rebuilt<PaymentEvent> {
    let past = |(sequence, at, event)| Past { sequence, at, cause: payment.cause(&event), event };
    let events = payment.published(history).into_iter().map(past).collect();
    Rebuilt { key: payment.order_id.to_string(), version: payment.version, events }
}
