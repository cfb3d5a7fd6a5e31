//! A message on its way over one channel, and what follows from an attempt to send it.

use std::time::Duration;

use broker::Cause;
use events::values::{CustomerId, DeliveryId, EmailAddress};
use events::{Channel, DeliveryFailed, DeliverySent, NotificationEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use super::content::Content;

/// A message that has become due.
#[derive(Debug)]
pub(crate) struct Due {
    pub content: Content,
    /// Whose it is, where that is known already.
    pub customer: Option<CustomerId>,
    /// What led to it.
    pub cause: Cause,
    /// When that was decided.
    pub at: OffsetDateTime,
}

/// A delivery that a worker has claimed.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub id: DeliveryId,
    pub content: Content,
    /// Attempts before this one.
    pub attempts: u32,
    pub recipient: Recipient,
    /// What it tells of is not there any more, or not sold any more.
    pub sold_out: bool,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
    /// The claim; the result counts only while it holds.
    pub token: Uuid,
}

/// Who is to get it, looked up at the moment of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// At this address.
    Known(EmailAddress),
    /// The contact has not arrived yet: topics have no common order.
    Unknown,
    /// Has asked to be forgotten.
    Erased,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The channel has accepted the message.
    Accepted,
    /// Not now; the text says why, without an address.
    NotNow(String),
    /// Never; the text says why, without an address.
    Never(String),
    /// There was no address to send it to yet.
    NoContact,
    /// What it tells of is sold out again.
    SoldOut,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Final.
    Sent,
    /// Final, and why.
    Failed(String),
    /// Again after this pause, and why.
    Again(Duration, String),
    /// Looked at again after this pause, or as soon as the contact arrives.
    Waiting(Duration),
    /// Kept back until it is armed again.
    Held,
}

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// About five days of attempts, as mail servers do among themselves (RFC 5321, 4.5.4.1).
const MOST_ATTEMPTS: u32 = 7200;
/// The cause of what was not sent because its recipient asked to be forgotten.
pub(crate) const ERASED: &str = "erased";

/// Decides on a delivery after an attempt, the `attempts`-th.
pub(crate) fn verdict(attempt: &Attempt, attempts: u32) -> Verdict {
    match attempt {
        Attempt::Accepted => Verdict::Sent,
        Attempt::Never(cause) => Verdict::Failed(cause.clone()),
        Attempt::NotNow(cause) if attempts >= MOST_ATTEMPTS => {
            Verdict::Failed(format!("given up after {attempts} attempts: {cause}"))
        }
        Attempt::NoContact if attempts >= MOST_ATTEMPTS => {
            Verdict::Failed("given up: the contact never arrived".to_owned())
        }
        Attempt::NotNow(cause) => Verdict::Again(work::backoff(attempts, FIRST, LONGEST), cause.clone()),
        Attempt::SoldOut => Verdict::Held,
        Attempt::NoContact => Verdict::Waiting(work::backoff(attempts, FIRST, LONGEST)),
    }
}

/// What is published of a final verdict.
pub(crate) fn event(delivery: &Delivery, channel: Channel, verdict: &Verdict) -> Option<NotificationEvent> {
    let (delivery_id, kind) = (delivery.id, delivery.content.kind());
    let (order_id, sku) = (delivery.content.order_id(), delivery.content.sku().cloned());
    match verdict {
        Verdict::Sent => {
            Some(NotificationEvent::Sent(DeliverySent { delivery_id, kind, channel, order_id, sku }))
        }
        Verdict::Failed(cause) => Some(NotificationEvent::Failed(DeliveryFailed {
            delivery_id,
            kind,
            channel,
            order_id,
            sku,
            cause: cause.clone(),
        })),
        Verdict::Again(..) | Verdict::Waiting(_) | Verdict::Held => None,
    }
}
