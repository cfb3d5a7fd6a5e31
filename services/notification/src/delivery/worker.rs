//! Sends the due deliveries of one channel: the queue of a `work::Worker`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::Outbox;
use events::NotificationKind;
use sqlx::PgConnection;
use uuid::Uuid;
use work::Queue;

use super::channel::Channel;
use super::quota::Quota;
use crate::domain::content::Content;
use crate::domain::delivery::{
    self, Attempt, Delivery, ERASED, LONGEST_PAUSE, OVER_LIMIT, Recipient, Status, Verdict, verdict,
};
use crate::store;
use crate::store::claims::{self, Claim, Class};
use crate::store::results;
use crate::waitlist::freshness::Freshness;
use crate::waitlist::outcomes::{self, Outcome};

pub(crate) struct Sender<C> {
    pub channel: C,
    pub outbox: Outbox,
    /// A subscriber counts as notified when this channel has accepted the message.
    pub primary: bool,
    /// Whether "back in stock" messages may be sent now.
    pub freshness: Arc<Freshness>,
    /// The limit per mailbox; `None` for no limit.
    pub quota: Option<Quota>,
    /// The number of claims so far, for [`class_order`].
    pub claims: AtomicUsize,
}

/// The order in which the classes are claimed: personal messages first, but every fourth time bulk ones, so that these progress
/// however many orders come in.
fn class_order(claims: usize) -> [Class; 2] {
    if claims % 4 == 3 { [Class::Bulk, Class::Personal] } else { [Class::Personal, Class::Bulk] }
}

impl<C: Channel> Sender<C> {
    /// The classes that may be sent now.
    fn allowed(&self, classes: [Class; 2]) -> Vec<Class> {
        let is_allowed = |class: &Class| *class == Class::Personal || self.freshness.allows_sending();
        classes.into_iter().filter(is_allowed).collect()
    }

    /// Marks the deliveries that are over their recipients' limits.
    async fn apply_quota(&self, tx: &mut PgConnection, deliveries: &mut [Delivery]) -> sqlx::Result<()> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let exceeded = quota.exceeded(tx, deliveries).await?;
        for delivery in deliveries.iter_mut().filter(|delivery| exceeded.contains(&delivery.id)) {
            delivery.over_limit = true;
            let kind = <&str>::from(delivery.content.kind());
            metrics::counter!("deliveries_limited_total", "kind" => kind).increment(1);
        }
        Ok(())
    }

    /// Writes verdicts with their events, hands the outcomes to the waitlist, and returns the verdicts whose claims were valid.
    async fn write<'d>(&self, mut verdicts: Vec<Judged<'d>>) -> sqlx::Result<Vec<Judged<'d>>> {
        let mut tx = self.outbox.begin().await?;
        outcomes::lock(&mut tx, &outcomes_of(&verdicts)).await?;
        let recorded = results::record(&mut tx, &verdicts).await?;
        let mut recorded: BTreeMap<_, _> = recorded.into_iter().map(|row| (row.id, row)).collect();
        verdicts.retain(|(delivery, _)| recorded.contains_key(&delivery.id));
        if self.primary {
            outcomes::apply(&mut tx, &outcomes_of(&verdicts)).await?;
        }
        for (delivery, verdict) in &verdicts {
            let event = delivery::event(delivery.id, &delivery.content, C::CHANNEL, verdict);
            if let Some((row, event)) = recorded.remove(&delivery.id).zip(event) {
                store::append(&mut tx, row.cause, row.version, &event)?;
            }
        }
        tx.commit().await?;
        Ok(verdicts)
    }
}

/// A delivery and what follows from the attempt to send it.
type Judged<'d> = (&'d Delivery, Verdict);

fn outcomes_of(verdicts: &[Judged<'_>]) -> Vec<Outcome> {
    let outcome = |(delivery, verdict): &Judged<'_>| Outcome::of(&delivery.content, verdict);
    verdicts.iter().filter_map(outcome).collect()
}

impl<C: Channel> Queue for Sender<C> {
    type Job = Delivery;
    type Outcome = Attempt;

    const NAME: &'static str = C::QUEUE;
    const LONGEST_PAUSE: Duration = LONGEST_PAUSE;

    async fn claim(&self, token: Uuid, limit: i64, lease: Duration) -> sqlx::Result<Vec<Delivery>> {
        let limit = self.channel.room(limit);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let classes = self.allowed(class_order(self.claims.fetch_add(1, Ordering::Relaxed)));
        let claim = Claim { channel: C::CHANNEL, token, lease, classes };
        // One transaction: after a crash between its two parts, a mail would be claimed again without having counted.
        let mut tx = self.outbox.pool().begin().await?;
        let mut claimed = claims::claim(&mut tx, &claim, limit).await?;
        self.apply_quota(&mut tx, &mut claimed).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn perform(&self, delivery: &Delivery) -> Attempt {
        match &delivery.recipient {
            _ if delivery.sold_out => Attempt::SoldOut,
            _ if delivery.expired => Attempt::Rejected("its confirmation link has ended".to_owned()),
            // A subscriber keeps the place; a message about something done in the recipient's name is not worth sending late.
            _ if delivery.over_limit && matches!(delivery.content, Content::BackInStock { .. }) => {
                Attempt::OverLimit
            }
            _ if delivery.over_limit => Attempt::Rejected(OVER_LIMIT.to_owned()),
            Recipient::Known(address) => self.channel.send(delivery, address).await,
            Recipient::Unknown => Attempt::NoContact,
            Recipient::Erased => Attempt::Rejected(ERASED.to_owned()),
        }
    }

    async fn renew(&self, delivery: &Delivery, lease: Duration) -> sqlx::Result<bool> {
        claims::renew(self.outbox.pool(), delivery, lease).await
    }

    fn timed_out(&self, _delivery: &Delivery) -> Attempt {
        // Whether it was accepted is not known; a repetition has the same Message-ID.
        Attempt::Blocked("the channel did not answer in time".to_owned())
    }

    async fn record(&self, done: &[(Delivery, Attempt)]) -> sqlx::Result<bool> {
        let judged = done.iter().map(|(delivery, attempt)| (delivery, verdict(attempt, delivery.tries)));
        let mut verdicts: Vec<Judged<'_>> = judged.collect();
        // After an outage of the database a delivery may be there twice: claimed again before its first result was written.
        verdicts.sort_by_key(|(delivery, _)| (delivery.id, Reverse(delivery.tries.attempts)));
        verdicts.dedup_by_key(|(delivery, _)| delivery.id);
        for (delivery, verdict) in self.write(verdicts).await? {
            report::<C>(delivery, &verdict);
        }
        // The next message about the same order.
        Ok(true)
    }

    async fn hasten(&self, bound: Duration) -> sqlx::Result<u64> {
        claims::hasten(self.outbox.pool(), C::CHANNEL, bound).await
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        let classes = self.allowed([Class::Personal, Class::Bulk]);
        claims::ready(self.outbox.pool(), C::CHANNEL, &classes).await
    }
}

/// Counts a final verdict.
pub(super) fn count(kind: NotificationKind, channel: events::Channel, verdict: &Verdict) {
    let status = verdict.status();
    if Status::FINAL.contains(&status) {
        let (kind, channel) = (<&str>::from(kind), <&str>::from(channel));
        metrics::counter!("deliveries_total", "kind" => kind, "channel" => channel, "status" => status.as_str())
            .increment(1);
    }
}

/// Reports a verdict. A failure is a warning, everything else a detail.
fn report<C: Channel>(delivery: &Delivery, verdict: &Verdict) {
    let (kind, channel) = (<&str>::from(delivery.content.kind()), <&str>::from(C::CHANNEL));
    let order_id = delivery.content.order_id().map(tracing::field::display);
    count(delivery.content.kind(), C::CHANNEL, verdict);
    let (delivery_id, pause, cause) = (delivery.id, verdict.pause(), verdict.cause());
    match verdict {
        Verdict::Sent => {}
        Verdict::Failed(_) => {
            tracing::warn!(kind, channel, order_id, %delivery_id, cause, "message failed for good");
        }
        Verdict::OnHold => {
            tracing::debug!(kind, channel, %delivery_id, "sold out again; message on hold");
        }
        Verdict::Retry(..) | Verdict::Deferred(..) | Verdict::NoContact(_) | Verdict::Postponed(_) => {
            tracing::debug!(kind, channel, order_id, %delivery_id, ?pause, cause, "message not sent yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_messages_come_first_in_a_quarter_of_the_claims() {
        let bulk = (0..8).filter(|claims| class_order(*claims)[0] == Class::Bulk).count();
        assert_eq!(bulk, 2);
    }
}
