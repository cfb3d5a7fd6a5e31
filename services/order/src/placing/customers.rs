//! Who ordered: a customer is an address, found or registered in the transaction of the order.

use std::collections::BTreeMap;

use broker::{Cause, Failure, Tx};
use envelope::Sequence;
use events::values::{CustomerId, EmailAddress};
use events::{CustomerEvent, CustomerRegistered};
use time::OffsetDateTime;

use crate::store;

/// The customers of a group's addresses, each address with the trace that brought it; who is new is registered, with an
/// event.
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
        // Who is still wanted then was registered by another instance at this very moment, and is found next time.
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
