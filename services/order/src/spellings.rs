//! One customer per address, also where an earlier version did not store the address in its canonical form.

use broker::{Cause, Failure, Tx};
use chassis::Upgrade;
use envelope::Event as _;
use events::CustomerEvent;
use events::values::EmailAddress;
use futures::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::customers::{self, Erasure};
use crate::store::spellings::{self, Stored};

/// The most customers per transaction.
const BATCH: i64 = 500;

/// Writes the addresses of customers in canonical form, and publishes the changes.
pub(crate) const UPGRADE: Upgrade = Upgrade { name: "customers' addresses", batch };

fn batch<'a>(tx: &'a mut Tx, after: Option<&'a str>) -> BoxFuture<'a, Result<Option<String>, Failure>> {
    Box::pin(async move {
        let after = after.and_then(|key| key.parse().ok()).unwrap_or(Uuid::nil());
        let stored = spellings::list(tx, after, BATCH).await?;
        let last = stored.last().map(|customer| customer.id.to_string());
        for customer in stored {
            canonicalise(tx, &customer).await?;
        }
        Ok(last)
    })
}

async fn canonicalise(tx: &mut Tx, customer: &Stored) -> Result<(), Failure> {
    let events: Vec<_> = match EmailAddress::from_older(&customer.email) {
        Ok(canonical) if canonical.expose() == customer.email => return Ok(()),
        Ok(canonical) => spellings::respell(tx, customer, canonical).await?.into_iter().collect(),
        // The text cannot be mailed, and nobody could ask for its erasure.
        Err(_) => {
            customers::erase(tx, Erasure::Customer(customer.id.into()), OffsetDateTime::now_utc()).await?
        }
    };
    for (sequence, event) in events {
        let customer_id = event.customer_id();
        match event {
            CustomerEvent::Registered(_) => tracing::info!(%customer_id, "address written in canonical form"),
            CustomerEvent::Erased(_) => {
                tracing::warn!(%customer_id, "customer erased: the stored text is not a valid e-mail address");
            }
        }
        tx.withdraw::<CustomerEvent>(&event.key()).await?;
        tx.append(Cause::default(), sequence, &event)?;
    }
    Ok(())
}
