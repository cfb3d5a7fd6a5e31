//! Sends what is due over one channel: the queue is `work`'s, the rows are the deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::Outbox;
use time::OffsetDateTime;
use uuid::Uuid;
use work::Queue;

use super::channel::Channel;
use super::claims::{self, Class};
use super::content::{Content, channel_name, kind_name};
use super::delivery::{Attempt, Delivery, ERASED, LONGEST_PAUSE, Recipient, TOO_MANY, Verdict, verdict};
use super::queue;
use super::quota::Quota;
use crate::notify_me::news::News;

/// Takes deliveries of one channel from the database to the channel.
pub(crate) struct Sender<C> {
    pub channel: C,
    pub outbox: Outbox,
    /// A subscriber counts as told when this channel has accepted the message.
    pub tells: bool,
    /// Whether those who wait for a product may be told now.
    pub news: Arc<News>,
    /// How much one mailbox gets; `None`: no limit.
    pub quota: Option<Quota>,
    /// How many claims were made, for [`order`].
    pub claims: AtomicUsize,
}

/// The order in which the classes are claimed: personal messages first, but every fourth time bulk ones, so that these
/// get on however many orders come in.
fn order(claims: usize) -> [Class; 2] {
    if claims % 4 == 3 { [Class::Bulk, Class::Personal] } else { [Class::Personal, Class::Bulk] }
}

impl<C: Channel> Sender<C> {
    /// Marks those of newly claimed deliveries that are over their recipients' limits.
    async fn limit(&self, deliveries: &mut [Delivery]) -> sqlx::Result<()> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let exceeded = quota.exceeded(self.outbox.pool(), deliveries).await?;
        for delivery in deliveries.iter_mut().filter(|delivery| exceeded.contains(&delivery.id)) {
            delivery.over_limit = true;
            let kind = kind_name(delivery.content.kind());
            metrics::counter!("deliveries_limited_total", "kind" => kind).increment(1);
        }
        Ok(())
    }
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
        let mut claimed = Vec::new();
        for class in order(self.claims.fetch_add(1, Ordering::Relaxed)) {
            let room = limit - i64::try_from(claimed.len()).unwrap_or(i64::MAX);
            if room > 0 && (class == Class::Personal || self.news.may_be_told()) {
                let claim = claims::Claim { channel: C::CHANNEL, token, lease, class };
                claimed.extend(claims::claim(self.outbox.pool(), &claim, room).await?);
            }
        }
        self.limit(&mut claimed).await?;
        Ok(claimed)
    }

    async fn perform(&self, delivery: &Delivery) -> Attempt {
        match &delivery.recipient {
            _ if delivery.sold_out => Attempt::SoldOut,
            _ if has_expired(&delivery.content) => {
                Attempt::Never("nobody could answer it any more".to_owned())
            }
            // A subscriber keeps the place; a message about what was done in the recipient's name is not worth sending late.
            _ if delivery.over_limit && matches!(delivery.content, Content::BackInStock { .. }) => {
                Attempt::TooMany
            }
            _ if delivery.over_limit => Attempt::Never(TOO_MANY.to_owned()),
            Recipient::Known(address) => self.channel.send(delivery, address).await,
            Recipient::Unknown => Attempt::NoContact,
            Recipient::Erased => Attempt::Never(ERASED.to_owned()),
        }
    }

    async fn renew(&self, delivery: &Delivery, lease: Duration) -> sqlx::Result<bool> {
        claims::renew(self.outbox.pool(), delivery, lease).await
    }

    fn timed_out(&self, _delivery: &Delivery) -> Attempt {
        // Whether it was accepted is not known; a repetition has the same Message-ID.
        Attempt::Blocked("the channel did not answer in time".to_owned())
    }

    async fn record(&self, done: &[(Delivery, Attempt)]) -> sqlx::Result<()> {
        let verdict = |(delivery, attempt): &(Delivery, Attempt)| verdict(attempt, delivery.tries);
        let verdicts: Vec<_> = done.iter().map(|done| (&done.0, verdict(done))).collect();
        let settled = queue::settle(&self.outbox, C::CHANNEL, self.tells, &verdicts).await?;
        for (delivery, verdict) in verdicts.iter().filter(|(delivery, _)| settled.contains(&delivery.id)) {
            tell::<C>(delivery, verdict);
        }
        Ok(())
    }

    async fn hasten(&self, bound: Duration) -> sqlx::Result<u64> {
        claims::hasten(self.outbox.pool(), C::CHANNEL, bound).await
    }

    async fn ready(&self) -> sqlx::Result<i64> {
        claims::ready(self.outbox.pool(), C::CHANNEL).await
    }
}

/// A question whose time to answer it is over is not put.
fn has_expired(content: &Content) -> bool {
    matches!(content, Content::ConfirmSubscription { until, .. } if *until <= OffsetDateTime::now_utc())
}

/// Counts a final verdict; what was given up is worth a line, the rest is detail.
fn tell<C: Channel>(delivery: &Delivery, verdict: &Verdict) {
    let (kind, channel) = (kind_name(delivery.content.kind()), channel_name(C::CHANNEL));
    let order_id = delivery.content.order_id().map(tracing::field::display);
    let count = |status: &'static str| {
        metrics::counter!("deliveries_total", "kind" => kind, "channel" => channel, "status" => status)
            .increment(1);
    };
    match verdict {
        Verdict::Sent => count("sent"),
        Verdict::Failed(cause) => {
            count("failed");
            tracing::warn!(kind, channel, order_id, delivery_id = %delivery.id, cause, "not notified, for good");
        }
        Verdict::Again(pause, cause) | Verdict::Deferred(pause, cause) => {
            tracing::debug!(kind, channel, order_id, delivery_id = %delivery.id, ?pause, cause, "not notified yet");
        }
        Verdict::Held => {
            tracing::debug!(kind, channel, delivery_id = %delivery.id, "sold out again; kept back");
        }
        Verdict::PutOff(pause) => {
            tracing::debug!(kind, channel, delivery_id = %delivery.id, ?pause, "too many messages to this recipient");
        }
        Verdict::Waiting(pause) => {
            tracing::debug!(kind, channel, order_id, delivery_id = %delivery.id, ?pause, "the contact is not known yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_messages_get_a_quarter_of_the_claims() {
        let first: Vec<Class> = (0..8).map(|claims| order(claims)[0]).collect();
        assert_eq!(first.iter().filter(|class| **class == Class::Bulk).count(), 2);
    }
}
