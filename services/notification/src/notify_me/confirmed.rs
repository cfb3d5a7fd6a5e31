//! `subscription.confirmed.v1`: a subscriber begins to wait, or waits for another quantity.

use broker::{Cause, Tx};
use envelope::Sequence;
use events::values::OrderId;
use events::{NotificationEvent, SubscriptionConfirmed};
use uuid::Uuid;

/// A subscription that has just begun to wait, or waits for another quantity.
pub(crate) struct Confirmed {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i32,
    pub order_id: Option<Uuid>,
    pub version: i64,
}

impl Confirmed {
    /// Appends `subscription.confirmed.v1`, and logs it once the transaction is committed.
    pub(crate) fn announce(&self, tx: &mut Tx, cause: Cause) -> sqlx::Result<()> {
        let confirmed = SubscriptionConfirmed {
            subscription_id: self.id.into(),
            sku: self.sku.parse().map_err(decode)?,
            quantity: i64::from(self.quantity).try_into().map_err(decode)?,
            order_id: self.order_id.map(OrderId::from),
        };
        let sequence = Sequence::from_i64(self.version).unwrap_or_default();
        let traceparent = cause.traceparent.clone();
        let event = NotificationEvent::SubscriptionConfirmed(confirmed.clone());
        tx.append(cause, sequence, &event).map_err(|error| sqlx::Error::Encode(error.into()))?;
        tx.on_commit(move || {
            let (event_type, quantity) = ("subscription.confirmed.v1", confirmed.quantity.get());
            let SubscriptionConfirmed { subscription_id, sku, .. } = confirmed;
            tracing::info!(%sku, quantity, %subscription_id, event_type, traceparent, "waits for a product");
        });
        Ok(())
    }
}

fn decode(error: events::values::Invalid) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
