//! Topic `notifications`, read by its own publisher: rolls a database that was restored from an older copy forward to the published
//! events, so that no message is sent twice when the other topics are read again.
//!
//! No event carries an address. A subscription that the copy does not have comes back as a number for the report and for the claims
//! in the mails, unless an order made it: then its address is that of the order's customer.

mod content;
mod deliveries;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use broker::{Failure, Handler, Incoming, Received, Rejected, Tx};
use envelope::Sequence;
use events::values::{DeliveryId, Sku, SubscriptionId};
use events::{Channel, DeliveryFailed, NotificationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use self::deliveries::complete;

use self::deliveries::Finished;
use self::subscriptions::Facts;
use crate::domain::tokens::Tokens;
use crate::store::retention;

pub(crate) struct Notifications {
    /// For the claims of subscriptions that the database does not have.
    pub tokens: Tokens,
    /// The channel that decides whether a subscriber is notified.
    pub primary: Channel,
}

/// The stored versions of a batch's deliveries and subscriptions, and what the events say of them.
pub(crate) struct State {
    deliveries: BTreeMap<DeliveryId, Sequence>,
    subscriptions: BTreeMap<SubscriptionId, Sequence>,
    finished: BTreeMap<DeliveryId, Finished>,
    facts: BTreeMap<SubscriptionId, Facts>,
    /// A missing delivery with a smaller id was deleted long after it was sent.
    first_kept: Uuid,
    /// The last sequence of every delivery that is not to come back.
    ignored: Sequence,
}

impl Handler for Notifications {
    type Event = NotificationEvent;
    type State = State;

    async fn load(&self, tx: &mut Tx, batch: &[Received<NotificationEvent>]) -> Result<State, Failure> {
        let (mut deliveries, mut subscriptions) = (Vec::new(), Vec::new());
        for Received { event, .. } in batch {
            match event {
                NotificationEvent::Sent(delivery)
                | NotificationEvent::Failed(DeliveryFailed { delivery, .. }) => {
                    deliveries.push(delivery.delivery_id.uuid());
                }
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
            finished: BTreeMap::new(),
            facts: BTreeMap::new(),
            first_kept: retention::first_kept(tx).await?,
            ignored: Sequence::NONE,
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
            NotificationEvent::Sent(delivery)
            | NotificationEvent::Failed(DeliveryFailed { delivery, .. }) => {
                state.last_sequence_of(delivery.delivery_id, content::of(delivery).is_some())
            }
        }
    }

    fn handle(&self, state: &mut State, incoming: Incoming<'_, NotificationEvent>) -> Result<(), Rejected> {
        let (sequence, at) = (incoming.sequence, incoming.time);
        match &incoming.event {
            NotificationEvent::Sent(sent) => state.finish(Finished::sent(sent, sequence, at), self.primary),
            NotificationEvent::Failed(failed) => {
                state.finish(Finished::failed(failed, sequence, at), self.primary);
            }
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
        deliveries::save(tx, &state.finished).await?;
        if lost > 0 {
            tx.on_commit(move || {
                tracing::warn!(
                    subscriptions = lost,
                    "subscriptions that were confirmed after the copy was made have lost their addresses, because no event \
                     contains one; these people must subscribe again"
                );
            });
        }
        Ok(())
    }
}

impl State {
    /// The last sequence of a delivery; `has_content`: its event gives enough to make the row.
    fn last_sequence_of(&mut self, id: DeliveryId, has_content: bool) -> Option<&mut Sequence> {
        let is_known = self.deliveries.contains_key(&id);
        if is_known || (has_content && id.uuid() >= self.first_kept) {
            return self.deliveries.get_mut(&id);
        }
        // Nothing is missing: the row was deleted after its time, or cannot be made.
        self.ignored = Sequence::from_i64(i64::from(u32::MAX)).unwrap_or_default();
        Some(&mut self.ignored)
    }

    fn finish(&mut self, finished: Finished, primary: Channel) {
        if let (Some(subscription), Some(sku)) = (finished.subscription, &finished.sku) {
            let facts = self.facts(subscription, sku, finished.at);
            if finished.channel == primary {
                facts.finished(&finished);
            }
        }
        self.deliveries.insert(finished.id, finished.version);
        self.finished.insert(finished.id, finished);
    }

    fn facts(&mut self, id: SubscriptionId, sku: &Sku, at: OffsetDateTime) -> &mut Facts {
        self.facts.entry(id).or_insert_with(|| Facts::of(sku.clone(), at))
    }
}
