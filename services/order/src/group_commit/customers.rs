//! The customers of a group: one per address, found or registered in the transaction of the orders.

use std::collections::BTreeMap;

use broker::{Cause, Failure, Tx};
use envelope::Sequence;
use events::values::{CustomerId, EmailAddress};
use events::{CustomerEvent, CustomerRegistered};
use time::OffsetDateTime;

use crate::store;

/// Returns the customers of the wanted addresses, each address with the trace of its request. A new customer is registered,
/// and the event published.
pub(super) async fn find_or_register(
    tx: &mut Tx,
    mut wanted: BTreeMap<&EmailAddress, &str>,
    now: OffsetDateTime,
) -> Result<BTreeMap<String, CustomerId>, Failure> {
    let mut known = BTreeMap::new();
    while !wanted.is_empty() {
        let addresses: Vec<&str> = wanted.keys().map(|address| address.expose()).collect();
        known.extend(store::customers::find(tx, &addresses).await?);
        wanted.retain(|address, _| !known.contains_key(address.expose()));
        // An address that is still wanted afterwards was registered by another instance meanwhile: the next round finds it.
        if !wanted.is_empty() {
            register(tx, &wanted, now, &mut known).await?;
            wanted.retain(|address, _| !known.contains_key(address.expose()));
        }
    }
    Ok(known)
}

async fn register(
    tx: &mut Tx,
    wanted: &BTreeMap<&EmailAddress, &str>,
    now: OffsetDateTime,
    known: &mut BTreeMap<String, CustomerId>,
) -> Result<(), Failure> {
    let new = |address: &EmailAddress| CustomerRegistered {
        customer_id: CustomerId::random(),
        email: address.clone(),
        registered_at: now,
    };
    let new: Vec<CustomerRegistered> = wanted.keys().map(|address| new(address)).collect();
    let registered = store::customers::register(tx, &new).await?;
    for (customer, traceparent) in new.into_iter().zip(wanted.values()) {
        if registered.contains(customer.email.expose()) {
            known.insert(customer.email.expose().to_owned(), customer.customer_id);
            let cause = Cause::traced(Some((*traceparent).to_owned()));
            tx.append(cause, Sequence::NONE.next(), &CustomerEvent::Registered(customer))?;
        }
    }
    Ok(())
}
