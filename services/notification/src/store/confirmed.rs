//! `subscription.confirmed.v1`: a subscription joins the waitlist, or changes its quantity.

use broker::{Cause, Tx};
use envelope::Event as _;
use events::values::OrderId;
use events::{NotificationEvent, SubscriptionConfirmed};
use uuid::Uuid;

use super::{append, undecodable};

/// The row of a subscription that has just joined the waitlist, or changed its quantity.
pub(crate) struct Confirmed {
    pub id: Uuid,
    pub sku: String,
    pub quantity: i32,
    pub order_id: Option<Uuid>,
    pub version: i64,
}

impl Confirmed {
    /// Appends `subscription.confirmed.v1`, and logs it after the commit.
    pub(crate) fn announce(&self, tx: &mut Tx, cause: Cause) -> sqlx::Result<()> {
        let confirmed = SubscriptionConfirmed {
            subscription_id: self.id.into(),
            sku: self.sku.parse().map_err(undecodable)?,
            quantity: i64::from(self.quantity).try_into().map_err(undecodable)?,
            order_id: self.order_id.map(OrderId::from),
        };
        let traceparent = cause.traceparent.clone();
        let SubscriptionConfirmed { subscription_id, sku, quantity, .. } = confirmed.clone();
        let event = NotificationEvent::SubscriptionConfirmed(confirmed);
        let (event_type, quantity) = (event.ce_type(), quantity.get());
        append(tx, cause, self.version, &event)?;
        tx.on_commit(move || {
            tracing::info!(%sku, quantity, %subscription_id, event_type, traceparent, "subscription confirmed");
        });
        Ok(())
    }
}
