//! The life cycle of a subscription: its statuses, the events that change them, and one table of what leads where. The SQL
//! only stores a status; it gets the names and the table's rows as parameters.

use strum::{EnumString, IntoStaticStr, VariantArray};
use time::Duration;

/// How long the link in the first confirmation mail works.
pub(crate) const CONFIRM_WITHIN: Duration = Duration::hours(48);
/// How long a subscription waits at most.
pub(crate) const MAX_WAIT: Duration = Duration::days(180);

/// Where a subscription is in its life. `Notified` and all that follow it have left the waiting line.
///
/// A purchase is no status: a confirmed order of the same address suspends the subscription for as long as the order stands
/// (the view `standing_purchases`). A cancellation therefore restores it at its old place, with nothing to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Status {
    /// The address has not confirmed the request.
    Pending,
    /// In line.
    Waiting,
    /// The "back in stock" message was accepted.
    Notified,
    /// An order came by the link in the message.
    Converted,
    /// Its time ended while a purchase suspended it.
    Bought,
    /// Nobody confirmed it, bought the product or could be reached in time.
    Lapsed,
    /// The owner of the address ended it.
    Unsubscribed,
    /// The owner of the address asked to be forgotten.
    Erased,
    /// Another subscription of the same address goes on in its place.
    Merged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub(crate) enum Event {
    /// The owner of the address confirms it, or an order is trusted to.
    Confirmed,
    /// The primary channel accepted the "back in stock" message.
    Notified,
    /// The primary channel will never accept the message.
    Undeliverable,
    /// The time to confirm, to wait or to buy is over.
    Expired,
    /// The same, while a purchase suspends the subscription.
    ExpiredAfterPurchase,
    /// The owner of the address ends this subscription.
    Unsubscribed,
    /// The owner of the address refuses mails about the product, or about every product. A message that was sent stays one.
    Refused,
    /// Another subscription of the same address takes it over.
    Merged,
    /// The address is erased. A merged subscription only loses its address.
    Erased,
    /// An order came by the link in a message, at whatever time.
    Converted,
    /// An operator sends the undeliverable message again.
    Resent,
}

impl Event {
    /// The table: the statuses in which the event applies, and the status that it leads to.
    const fn rule(self) -> (&'static [Status], Status) {
        use Status::{Bought, Converted, Erased, Lapsed, Merged, Notified, Pending, Unsubscribed, Waiting};
        match self {
            Self::Confirmed => (&[Pending, Waiting], Waiting),
            Self::Notified => (&[Waiting], Notified),
            Self::Undeliverable => (&[Waiting], Lapsed),
            Self::Expired => (&[Pending, Waiting, Notified], Lapsed),
            Self::ExpiredAfterPurchase => (&[Waiting, Notified], Bought),
            Self::Unsubscribed => (&[Pending, Waiting, Notified, Lapsed], Unsubscribed),
            Self::Refused => (&[Pending, Waiting, Lapsed], Unsubscribed),
            Self::Merged => (&[Pending, Waiting], Merged),
            Self::Erased => {
                (&[Pending, Waiting, Notified, Converted, Bought, Lapsed, Unsubscribed, Erased], Erased)
            }
            Self::Converted => (&[Waiting, Notified, Bought, Lapsed, Unsubscribed], Converted),
            Self::Resent => (&[Lapsed], Waiting),
        }
    }

    /// The statuses in which the event applies, as the database stores them.
    pub(crate) fn sources(self) -> Vec<&'static str> {
        self.rule().0.iter().map(|status| status.as_str()).collect()
    }

    pub(crate) const fn target(self) -> Status {
        self.rule().1
    }
}

/// The event does not apply in this status: the subscription stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotApplicable;

impl Status {
    pub(crate) fn on(self, event: Event) -> Result<Self, NotApplicable> {
        let (sources, target) = event.rule();
        if sources.contains(&self) { Ok(target) } else { Err(NotApplicable) }
    }

    /// Asked for or on the waitlist: an address has at most one such subscription per product. In SQL: `is_active(state)`.
    #[cfg(test)]
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Waiting)
    }

    /// The statuses of subscriptions that time has not ended, as the database stores them.
    pub(crate) fn unexpired() -> Vec<&'static str> {
        Event::Expired.sources()
    }

    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How the owner of an address gave consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Consent {
    /// By the link in a confirmation mail.
    DoubleOptIn,
    /// With an order.
    Order,
    /// By a link in a mail about something else.
    Link,
}

impl Consent {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which of two active subscriptions of one address and product goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survivor {
    New,
    Known,
}

/// The known one goes on and keeps its place, unless it was never confirmed and the new one is.
pub(crate) fn survivor(new: Status, known: Status) -> Survivor {
    if new == Status::Waiting && known == Status::Pending { Survivor::New } else { Survivor::Known }
}

#[cfg(test)]
mod properties;
