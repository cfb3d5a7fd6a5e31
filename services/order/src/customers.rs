//! The `customers` topic as its owner publishes it again.

use std::pin::Pin;

use broker::{Cause, Compacted, Failure, Keys, Tx};
use envelope::Topic;
use events::CUSTOMERS;
use uuid::Uuid;

use crate::store;

/// The contacts: registered ones, and tombstones of those erased in the last 30 days.
pub(crate) struct Customers;

impl Compacted for Customers {
    fn topic(&self) -> Topic {
        CUSTOMERS
    }

    fn republish<'a>(
        &'a self,
        tx: &'a mut Tx,
        keys: Keys<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>> {
        Box::pin(republish(tx, keys))
    }
}

async fn republish(tx: &mut Tx, keys: Keys<'_>) -> Result<Option<String>, Failure> {
    // A key that is no id is none of ours, and there is nothing behind it.
    let id = |key: &str| key.parse::<Uuid>().ok();
    let behind = |id: Uuid| Uuid::from_u128(id.as_u128().saturating_add(1));
    let (range, forgotten, limit) = match keys {
        Keys::One(key) => {
            let Some(id) = id(key) else { return Ok(None) };
            (id..=id, true, 1)
        }
        Keys::After { after: None, limit } => (Uuid::nil()..=Uuid::max(), false, limit),
        Keys::After { after: Some(key), limit } => {
            let Some(id) = id(key) else { return Ok(None) };
            (behind(id)..=Uuid::max(), false, limit)
        }
    };
    let mut last = None;
    for (sequence, event) in store::customers::renew(tx, range, forgotten, limit).await? {
        tx.append(Cause::default(), sequence, &event)?;
        last = Some(event.customer_id().to_string());
    }
    Ok(last)
}
