//! The moment at which the address behind an order's subscription becomes known: the subscription joins what the address has, asks
//! it to confirm where an order's consent is not trusted, or is dropped where the address has refused it or is over its limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Cause, Tx};
use events::Channel;
use events::values::{CustomerId, Quantity};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::Message;
use crate::domain::subscription::{Status, Survivor, survivor};
use crate::domain::tokens::Tokens;
use crate::store::addressing::{self, Addressed};
use crate::store::{confirmations, deliveries, objections, subscriptions};

/// The event after which a customer's subscriptions may get their address, and the time of its transaction.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub cause: Cause,
    pub at: OffsetDateTime,
}

/// Gives the subscriptions of orders their addresses.
#[derive(Clone)]
pub(crate) struct Addressing {
    pub tokens: Tokens,
    pub channels: Arc<[Channel]>,
    /// Subscriptions by orders that a mailbox may have per hour; 0 for no limit.
    pub per_hour: u32,
}

impl Addressing {
    /// Gives the subscriptions of these customers their addresses, as far as they are known by now. Returns whether there were
    /// any.
    pub(crate) async fn run(
        &self,
        tx: &mut Tx,
        customers: &BTreeMap<CustomerId, Trigger>,
    ) -> sqlx::Result<bool> {
        let ids: Vec<Uuid> = customers.keys().map(|customer| customer.uuid()).collect();
        let (found, mut mails) = (addressing::find(tx, &self.tokens, &ids).await?, Vec::new());
        for row in &found {
            if let Some(trigger) = customers.get(&row.customer) {
                mails.extend(self.give_address(tx, row, trigger).await?);
            }
        }
        if !mails.is_empty() {
            deliveries::insert(tx, &mails, &self.channels).await?;
        }
        Ok(!found.is_empty())
    }

    /// Returns the confirmation mail to send, if the subscription needs one.
    async fn give_address(
        &self,
        tx: &mut Tx,
        row: &Addressed,
        trigger: &Trigger,
    ) -> sqlx::Result<Option<Message>> {
        subscriptions::lock_mailbox(tx, &row.email).await?;
        let known = addressing::active_of(tx, row).await?;
        // Another transaction gave the address while this one waited for the lock.
        if known.is_some_and(|(id, _)| id == row.id) {
            return Ok(None);
        }
        let survivor = known.map(|(_, status)| survivor(row.status, status));
        let joins = survivor == Some(Survivor::Known);
        if let Some(objection) = objections::find(tx, row, joins, self.per_hour).await? {
            objections::drop_request(tx, row, objection).await?;
            return Ok(None);
        }
        match known.zip(survivor) {
            Some(((known, _), Survivor::Known)) => {
                addressing::merge_into(tx, row, known).await?;
                return Ok(None);
            }
            Some(((known, _), Survivor::New)) => subscriptions::merge(tx, known, row.id).await?,
            None => {}
        }
        if let Some(confirmed) = addressing::write(tx, row).await? {
            confirmed.announce(tx, trigger.cause.clone())?;
        }
        if row.status != Status::Pending {
            return Ok(None);
        }
        let until = confirmations::may_ask(tx, &row.mailbox, &row.sku).await?;
        Ok(until.and_then(|until| confirmation_mail(row, trigger, until)))
    }
}

fn confirmation_mail(row: &Addressed, trigger: &Trigger, until: OffsetDateTime) -> Option<Message> {
    let content = Content::ConfirmSubscription {
        subscription_id: row.id.into(),
        sku: row.sku.parse().ok()?,
        name: row.name.clone().unwrap_or_else(|| row.sku.clone()),
        quantity: Quantity::try_from(i64::from(row.quantity)).ok()?,
        round: 1,
        until,
    };
    let Trigger { cause, at } = trigger.clone();
    Some(Message { content, customer: Some(row.customer), cause, at })
}
