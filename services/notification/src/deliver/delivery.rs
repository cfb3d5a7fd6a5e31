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
    pub tries: Tries,
    pub recipient: Recipient,
    /// What it tells of is not there any more, not sold any more, or bought by its recipient meanwhile.
    pub sold_out: bool,
    /// Its recipient was sent as many messages of its kind lately as is allowed.
    pub over_limit: bool,
    /// The trace that it is part of.
    pub traceparent: Option<String>,
    /// The claim; the result counts only while it holds.
    pub token: Uuid,
}

/// How often it was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// Attempts, this one included.
    pub attempts: u32,
    /// Those that the recipient's side put off.
    pub deferrals: u32,
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
    /// The recipient's side takes nothing now; the text says why, without an address.
    NotNow(String),
    /// Nothing can be sent until something is repaired here or at the server; the text says what, without an address.
    Blocked(String),
    /// Never; the text says why, without an address.
    Never(String),
    /// There was no address to send it to yet.
    NoContact,
    /// What it tells of is sold out again.
    SoldOut,
    /// Not tried: its recipient has had enough of its kind for now, and it can wait.
    TooMany,
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
    /// The same, and it counts: after so many it is given up.
    Deferred(Duration, String),
    /// Looked at again after this pause, or as soon as the contact arrives.
    Waiting(Duration),
    /// Kept back until it is armed again.
    Held,
    /// Tried for the first time after this pause.
    PutOff(Duration),
}

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// About five days of attempts that the recipient's side put off, as mail servers give each other (RFC 5321, 4.5.4.1).
const MOST_DEFERRALS: u32 = 7200;
/// How long a message waits whose recipient has had enough of its kind.
const PUT_OFF: Duration = Duration::from_mins(10);
/// The longest that any delivery waits for its next attempt.
pub(crate) const LONGEST_PAUSE: Duration = PUT_OFF;
const _: () = assert!(LONGEST.as_secs() <= LONGEST_PAUSE.as_secs());
/// The cause of what was not sent because its recipient was sent enough of its kind.
pub(crate) const TOO_MANY: &str =
    "the recipient was sent as many messages of this kind within an hour as are allowed";
/// The cause of what was not sent because its recipient asked to be forgotten.
pub(crate) const ERASED: &str = "erased";

/// Decides on a delivery after an attempt. What is ours to repair is tried until it is repaired, however long that takes.
pub(crate) fn verdict(attempt: &Attempt, tries: Tries) -> Verdict {
    let pause = || work::backoff(tries.attempts, FIRST, LONGEST);
    let is_last = tries.deferrals + 1 >= MOST_DEFERRALS;
    match attempt {
        Attempt::Accepted => Verdict::Sent,
        Attempt::Never(cause) => Verdict::Failed(cause.clone()),
        Attempt::NotNow(cause) if is_last => {
            Verdict::Failed(format!("given up after {} attempts: {cause}", tries.attempts))
        }
        Attempt::NoContact if is_last => Verdict::Failed("given up: the contact never arrived".to_owned()),
        Attempt::NotNow(cause) => Verdict::Deferred(pause(), cause.clone()),
        Attempt::Blocked(cause) => Verdict::Again(pause(), cause.clone()),
        Attempt::SoldOut => Verdict::Held,
        Attempt::TooMany => Verdict::PutOff(PUT_OFF),
        // Not an attempt: the pause grows with how often the contact was missing.
        Attempt::NoContact => Verdict::Waiting(work::backoff(tries.deferrals + 1, FIRST, LONGEST)),
    }
}

/// What is published of a final verdict on a delivery.
pub(crate) fn event(
    delivery_id: DeliveryId,
    content: &Content,
    channel: Channel,
    verdict: &Verdict,
) -> Option<NotificationEvent> {
    let kind = content.kind();
    let (order_id, sku) = (content.order_id(), content.sku().cloned());
    let (subscription_id, restocks) = (content.subscription_id(), content.restocks());
    match verdict {
        Verdict::Sent => Some(NotificationEvent::Sent(DeliverySent {
            delivery_id,
            kind,
            channel,
            order_id,
            sku,
            subscription_id,
            restocks,
        })),
        Verdict::Failed(cause) => Some(NotificationEvent::Failed(DeliveryFailed {
            delivery_id,
            kind,
            channel,
            order_id,
            sku,
            subscription_id,
            restocks,
            cause: cause.clone(),
        })),
        Verdict::Again(..)
        | Verdict::Deferred(..)
        | Verdict::Waiting(_)
        | Verdict::PutOff(_)
        | Verdict::Held => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_recipient_s_side_puts_off_is_ever_given_up() {
        let days = Tries { attempts: 100_000, deferrals: MOST_DEFERRALS - 1 };
        let (full, blocked) = (Attempt::NotNow("full".to_owned()), Attempt::Blocked("quota".to_owned()));
        assert!(matches!(verdict(&full, days), Verdict::Failed(_)));
        assert!(matches!(verdict(&Attempt::NoContact, days), Verdict::Failed(_)));
        assert!(matches!(verdict(&blocked, days), Verdict::Again(..)));
        let outage = Tries { attempts: 100_000, deferrals: 0 };
        assert!(matches!(verdict(&full, outage), Verdict::Deferred(..)), "an outage before does not count");
    }

    #[test]
    fn a_missing_contact_is_looked_for_less_and_less_often() {
        let waits = |deferrals| verdict(&Attempt::NoContact, Tries { attempts: 1, deferrals });
        assert!(matches!(waits(0), Verdict::Waiting(pause) if pause <= FIRST));
        assert!(matches!(waits(1000), Verdict::Waiting(pause) if pause >= LONGEST / 2), "with its jitter");
    }
}
