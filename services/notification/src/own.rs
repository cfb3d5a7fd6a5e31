//! Topic `notifications`, read by its own publisher: brings a database that was restored from an older copy to where the
//! published events say it was, so that nobody is told twice when the other topics are read again.
//!
//! No event carries an address. A subscription that the copy does not have comes back as a number for the report and for
//! the claims in the mails, unless an order asked for it: then its address is that of the order's customer.

mod content;
mod deliveries;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{DeliveryId, Sku, SubscriptionId};
use events::{Channel, NotificationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use self::deliveries::complete;

use self::deliveries::Told;
use self::subscriptions::Facts;
use crate::deliver::purge;
use crate::notify_me::tokens::Tokens;

/// Folds the service's own `notifications` into its deliveries and subscriptions.
pub(crate) struct Notifications {
    /// For the claims of subscriptions that the database does not have.
    pub tokens: Tokens,
    /// The channel whose mails count as told.
    pub tells: Option<Channel>,
}

/// What the database knows of a batch's deliveries and subscriptions, and what the events tell of them.
pub(crate) struct State {
    deliveries: BTreeMap<DeliveryId, Sequence>,
    subscriptions: BTreeMap<SubscriptionId, Sequence>,
    told: BTreeMap<DeliveryId, Told>,
    facts: BTreeMap<SubscriptionId, Facts>,
    /// Unknown deliveries with a smaller id were deleted long after they were sent.
    first_kept: Uuid,
    /// What counts as seen of a delivery that is not to come back.
    left_out: Sequence,
}

impl Handler for Notifications {
    type Event = NotificationEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<NotificationEvent>]) -> Result<State, Failure> {
        let (mut deliveries, mut subscriptions) = (Vec::new(), Vec::new());
        for Received { event, .. } in batch {
            match event {
                NotificationEvent::Sent(sent) => deliveries.push(sent.delivery_id.uuid()),
                NotificationEvent::Failed(failed) => deliveries.push(failed.delivery_id.uuid()),
                NotificationEvent::SubscriptionConfirmed(confirmed) => {
                    subscriptions.push(confirmed.subscription_id.uuid());
                }
                NotificationEvent::SubscriptionConverted(converted) => {
                    subscriptions.push(converted.subscription_id.uuid());
                }
            }
        }
        Ok(State {
            subscriptions: subscriptions::lock(tx, &subscriptions).await?,
            deliveries: deliveries::lock(tx, &deliveries).await?,
            told: BTreeMap::new(),
            facts: BTreeMap::new(),
            first_kept: purge::first_kept(tx).await?,
            left_out: Sequence::NONE,
        })
    }

    fn last_sequence<'s>(&self, state: &'s mut State, event: &NotificationEvent) -> Option<&'s mut Sequence> {
        match event {
            NotificationEvent::SubscriptionConfirmed(confirmed) => {
                state.subscriptions.get_mut(&confirmed.subscription_id)
            }
            NotificationEvent::SubscriptionConverted(converted) => {
                state.subscriptions.get_mut(&converted.subscription_id)
            }
            NotificationEvent::Sent(sent) => {
                state.seen_of(sent.delivery_id, content::of_sent(sent).is_some())
            }
            NotificationEvent::Failed(failed) => {
                state.seen_of(failed.delivery_id, content::of_failed(failed).is_some())
            }
        }
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, NotificationEvent>) -> Result<(), Rejected> {
        let (sequence, at) = (incoming.sequence, incoming.time);
        match &incoming.event {
            NotificationEvent::Sent(sent) => state.tell(Told::sent(sent, sequence, at), self.tells),
            NotificationEvent::Failed(failed) => state.tell(Told::failed(failed, sequence, at), self.tells),
            NotificationEvent::SubscriptionConfirmed(confirmed) => {
                let (id, sku) = (confirmed.subscription_id, &confirmed.sku);
                state.subscriptions.insert(id, sequence);
                state.facts(id, sku, at).confirmed(confirmed, sequence, at);
            }
            NotificationEvent::SubscriptionConverted(converted) => {
                let (id, sku) = (converted.subscription_id, &converted.sku);
                state.subscriptions.insert(id, sequence);
                state.facts(id, sku, at).converted(converted, sequence, at);
            }
        }
        Ok(())
    }

    async fn save(&self, tx: &mut Tx, state: State) -> Result<(), Failure> {
        // Subscriptions first: deliveries refer to them.
        let lost = subscriptions::insert(tx, &self.tokens, &state.facts).await?;
        subscriptions::apply(tx, &state.facts).await?;
        deliveries::save(tx, &state.told).await?;
        if lost > 0 {
            tx.on_commit(move || {
                tracing::warn!(
                    subscriptions = lost,
                    "subscriptions that were confirmed after the copy have no address any more: no event carries one; \
                     their subscribers have to ask again"
                );
            });
        }
        Ok(())
    }
}

impl State {
    /// What is known of a delivery; `has_content`: its event says enough to make the row.
    fn seen_of(&mut self, id: DeliveryId, has_content: bool) -> Option<&mut Sequence> {
        let is_known = self.deliveries.contains_key(&id);
        if is_known || (has_content && id.uuid() >= self.first_kept) {
            return self.deliveries.get_mut(&id);
        }
        // Nothing is missing: the row was purged, or cannot be made.
        self.left_out = Sequence::from_i64(i64::from(u32::MAX)).unwrap_or_default();
        Some(&mut self.left_out)
    }

    fn tell(&mut self, told: Told, tells: Option<Channel>) {
        if let (Some(subscription), Some(sku)) = (told.subscription, &told.sku) {
            let facts = self.facts(subscription, sku, told.at);
            if Some(told.channel) == tells {
                facts.told(&told);
            }
        }
        self.deliveries.insert(told.id, told.version);
        self.told.insert(told.id, told);
    }

    fn facts(&mut self, id: SubscriptionId, sku: &Sku, at: OffsetDateTime) -> &mut Facts {
        self.facts.entry(id).or_insert_with(|| Facts::of(sku.clone(), at))
    }
}
