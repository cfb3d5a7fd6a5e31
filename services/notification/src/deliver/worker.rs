//! Sends what is due over one channel: the queue is `work`'s, the rows are the deliveries.

use std::sync::Arc;
use std::time::Duration;

use broker::Outbox;
use time::OffsetDateTime;
use uuid::Uuid;
use work::Queue;

use super::channel::Channel;
use super::content::{Content, channel_name, kind_name};
use super::delivery::{Attempt, Delivery, ERASED, Recipient, Verdict, verdict};
use super::queue;
use crate::notify_me::news::News;

/// Takes deliveries of one channel from the database to the channel.
pub(crate) struct Sender<C> {
    pub channel: C,
    pub outbox: Outbox,
    /// A subscriber counts as told when this channel has accepted the message.
    pub tells: bool,
    /// Whether those who wait for a product may be told now.
    pub news: Arc<News>,
}

impl<C: Channel> Queue for Sender<C> {
    type Job = Delivery;
    type Outcome = Attempt;

    const NAME: &'static str = C::QUEUE;

    async fn claim(&self, token: Uuid, limit: i64, lease: Duration) -> sqlx::Result<Vec<Delivery>> {
        let limit = self.channel.room(limit);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let claim = queue::Claim { channel: C::CHANNEL, token, lease, news: self.news.may_be_told() };
        queue::claim(self.outbox.pool(), &claim, limit).await
    }

    async fn perform(&self, delivery: &Delivery) -> Attempt {
        match &delivery.recipient {
            _ if delivery.sold_out => Attempt::SoldOut,
            _ if has_expired(&delivery.content) => {
                Attempt::Never("nobody could answer it any more".to_owned())
            }
            Recipient::Known(address) => self.channel.send(delivery, address).await,
            Recipient::Unknown => Attempt::NoContact,
            Recipient::Erased => Attempt::Never(ERASED.to_owned()),
        }
    }

    async fn renew(&self, delivery: &Delivery, lease: Duration) -> sqlx::Result<bool> {
        queue::renew(self.outbox.pool(), delivery, lease).await
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

    async fn ready(&self) -> sqlx::Result<i64> {
        queue::ready(self.outbox.pool(), C::CHANNEL).await
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
        Verdict::Waiting(pause) => {
            tracing::debug!(kind, channel, order_id, delivery_id = %delivery.id, ?pause, "the contact is not known yet");
        }
    }
}
