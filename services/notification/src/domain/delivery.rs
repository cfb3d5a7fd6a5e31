//! A message on its way over one channel, and what follows from an attempt to send it.

use std::time::Duration;

use broker::Cause;
use events::values::{CustomerId, DeliveryId, EmailAddress};
use events::{Channel, DeliveryFailed, NotificationEvent};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::content::Content;

/// The status of a delivery.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// To be sent, or to be retried.
    Pending,
    /// The recipient's address is not known yet.
    WaitingForContact,
    /// Accepted by the channel.
    Sent,
    /// Given up; `cause` gives the reason.
    Failed,
}

impl Status {
    /// The statuses of finished deliveries.
    pub(crate) const FINAL: [Self; 2] = [Self::Sent, Self::Failed];

    /// The name in the database, in metrics and over HTTP.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A message that is to be sent over every channel.
#[derive(Debug)]
pub(crate) struct Message {
    pub content: Content,
    /// The customer it is for; `None` when there is none, or not known yet.
    pub customer: Option<CustomerId>,
    /// The event that led to it.
    pub cause: Cause,
    /// The time of that decision.
    pub at: OffsetDateTime,
}

/// A delivery that a worker has claimed.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub id: DeliveryId,
    pub content: Content,
    pub tries: Tries,
    pub recipient: Recipient,
    /// The product is sold out again, delisted, or bought by the recipient meanwhile.
    pub sold_out: bool,
    /// The link of a confirmation mail does not work any more.
    pub expired: bool,
    /// The recipient has had as many messages of this kind lately as the limit allows.
    pub over_limit: bool,
    pub traceparent: Option<String>,
    /// The token of the claim; a result counts only while the row still has it.
    pub token: Uuid,
}

/// How often a delivery was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// Attempts, this one included.
    pub attempts: u32,
    /// Those that the recipient's side deferred.
    pub deferrals: u32,
}

/// The recipient of a delivery, looked up at the moment of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipient {
    Known(EmailAddress),
    /// The contact has not arrived: topics have no common order.
    Unknown,
    /// The recipient asked to be forgotten.
    Erased,
}

/// The result of an attempt. No text holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Accepted,
    /// The recipient's side takes nothing now; the text says why.
    Deferred(String),
    /// Nothing can be sent until something is repaired here or at the server; the text says what.
    Blocked(String),
    /// The message can never be delivered; the text says why.
    Rejected(String),
    /// The address is not known yet.
    NoContact,
    /// The product is sold out again.
    SoldOut,
    /// Not tried: the recipient is over the limit of this kind, and the message can wait.
    OverLimit,
}

/// The next state of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Final.
    Sent,
    Failed(String),
    /// Tried again after this pause, with the cause.
    Retry(Duration, String),
    /// The same, and it counts: after [`MAX_DEFERRALS`] the delivery is given up.
    Deferred(Duration, String),
    /// Looked at again after this pause, or as soon as the contact arrives.
    NoContact(Duration),
    /// Kept until a wave makes it due again.
    OnHold,
    /// Tried for the first time after this pause.
    Postponed(Duration),
}

/// The first pause between attempts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// About five days of attempts that the recipient's side deferred, 45 s apart on average, as mail servers give each other (RFC
/// 5321, 4.5.4.1).
const MAX_DEFERRALS: u32 = 5 * 24 * 3600 / 45;
/// How long a message waits whose recipient is over the limit.
const POSTPONED: Duration = Duration::from_mins(10);
/// The longest pause of all.
pub(crate) const LONGEST_PAUSE: Duration = POSTPONED;
const _: () = assert!(LONGEST_RETRY.as_secs() <= LONGEST_PAUSE.as_secs());
pub(crate) const OVER_LIMIT: &str =
    "the recipient was sent as many messages of this kind within an hour as are allowed";
pub(crate) const ERASED: &str = "erased";

/// Decides on a delivery after an attempt. A problem here or at the server is retried without end: only the recipient's side
/// can use up the attempts.
pub(crate) fn verdict(attempt: &Attempt, tries: Tries) -> Verdict {
    let pause = || work::backoff(tries.attempts, FIRST_PAUSE, LONGEST_RETRY);
    let is_last = tries.deferrals + 1 >= MAX_DEFERRALS;
    match attempt {
        Attempt::Accepted => Verdict::Sent,
        Attempt::Rejected(cause) => Verdict::Failed(cause.clone()),
        Attempt::Deferred(cause) if is_last => {
            Verdict::Failed(format!("given up after {} attempts: {cause}", tries.attempts))
        }
        Attempt::NoContact if is_last => Verdict::Failed("given up: the contact never arrived".to_owned()),
        Attempt::Deferred(cause) => Verdict::Deferred(pause(), cause.clone()),
        Attempt::Blocked(cause) => Verdict::Retry(pause(), cause.clone()),
        Attempt::SoldOut => Verdict::OnHold,
        Attempt::OverLimit => Verdict::Postponed(POSTPONED),
        // Not an attempt: the pause grows with how often the contact was missing.
        Attempt::NoContact => {
            Verdict::NoContact(work::backoff(tries.deferrals + 1, FIRST_PAUSE, LONGEST_RETRY))
        }
    }
}

impl Verdict {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Sent => Status::Sent,
            Self::Failed(_) => Status::Failed,
            Self::NoContact(_) => Status::WaitingForContact,
            Self::Retry(..) | Self::Deferred(..) | Self::OnHold | Self::Postponed(_) => Status::Pending,
        }
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        match self {
            Self::Failed(cause) | Self::Retry(_, cause) | Self::Deferred(_, cause) => Some(cause),
            Self::Postponed(_) => Some(OVER_LIMIT),
            Self::Sent | Self::NoContact(_) | Self::OnHold => None,
        }
    }

    /// The pause before the next attempt; `None` when no attempt is due.
    pub(crate) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Retry(pause, _)
            | Self::Deferred(pause, _)
            | Self::NoContact(pause)
            | Self::Postponed(pause) => Some(*pause),
            Self::Sent | Self::Failed(_) | Self::OnHold => None,
        }
    }
}

/// The event of a final verdict.
pub(crate) fn event(
    delivery_id: DeliveryId,
    content: &Content,
    channel: Channel,
    verdict: &Verdict,
) -> Option<NotificationEvent> {
    let delivery = events::Delivery {
        delivery_id,
        kind: content.kind(),
        channel,
        order_id: content.order_id(),
        sku: content.sku().cloned(),
        subscription_id: content.subscription_id(),
        restocks: content.restocks(),
    };
    match verdict {
        Verdict::Sent => Some(NotificationEvent::Sent(delivery)),
        Verdict::Failed(cause) => {
            Some(NotificationEvent::Failed(DeliveryFailed { delivery, cause: cause.clone() }))
        }
        Verdict::Retry(..)
        | Verdict::Deferred(..)
        | Verdict::NoContact(_)
        | Verdict::Postponed(_)
        | Verdict::OnHold => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_recipient_s_side_defers_is_ever_given_up() {
        let days = Tries { attempts: 100_000, deferrals: MAX_DEFERRALS - 1 };
        let (full, blocked) = (Attempt::Deferred("full".to_owned()), Attempt::Blocked("quota".to_owned()));
        assert!(matches!(verdict(&full, days), Verdict::Failed(_)));
        assert!(matches!(verdict(&Attempt::NoContact, days), Verdict::Failed(_)));
        assert!(matches!(verdict(&blocked, days), Verdict::Retry(..)));
        let outage = Tries { attempts: 100_000, deferrals: 0 };
        assert!(matches!(verdict(&full, outage), Verdict::Deferred(..)), "an outage before does not count");
    }

    #[test]
    fn a_missing_contact_is_looked_for_less_and_less_often() {
        let pauses = |deferrals| verdict(&Attempt::NoContact, Tries { attempts: 1, deferrals });
        assert!(matches!(pauses(0), Verdict::NoContact(pause) if pause <= FIRST_PAUSE));
        assert!(
            matches!(pauses(1000), Verdict::NoContact(pause) if pause >= LONGEST_RETRY / 2),
            "with jitter"
        );
    }

    #[test]
    fn every_status_is_read_as_it_is_stored_and_as_http_spells_it() {
        for status in Status::VARIANTS {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
