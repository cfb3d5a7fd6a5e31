//! The order of the waiting line within one restock.

use std::collections::{BTreeMap, BTreeSet};

use events::values::DeliveryId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Facts;
use crate::tables::Subscription;

/// The tolerance between the clock of the database, which counts joining, and that of the process, which numbers deliveries.
const CLOCKS: i128 = 2_000;

/// Of two subscribers to a product who were notified of the same restock, the one that was ahead on the waitlist when the other was
/// notified was notified first.
pub(crate) fn waves_follow_the_line(facts: &Facts<'_>) -> Vec<String> {
    let tables = &facts.history.tables;
    let subscriptions: BTreeMap<_, _> = tables.subscriptions.iter().map(|row| (row.id, row)).collect();
    let buyers = buyers(facts);
    let mut waves = BTreeMap::<_, Vec<(DeliveryId, &Subscription)>>::new();
    for row in tables.deliveries.iter().filter(|row| row.kind == "back_in_stock" && row.channel == "smtp") {
        if let Some(subscription) = row.subscription_id.and_then(|id| subscriptions.get(&id)) {
            waves.entry((&row.sku, row.restocks)).or_default().push((row.id, subscription));
        }
    }
    let mut found = Vec::new();
    for ((sku, restocks), mut notified) in waves {
        notified.sort_unstable_by_key(|(id, _)| *id);
        for (place, (id, late)) in notified.iter().enumerate() {
            // An order's request waits for the contact, and a purchase suspends a place: both may be notified later. An erased
            // subscriber may have bought.
            let may_wait = late.consent.as_deref() == Some("order")
                || late
                    .email
                    .as_ref()
                    .is_none_or(|email| buyers.contains(&(email.clone(), late.sku.clone())));
            let overtaken = |(early_id, early): &&(DeliveryId, &Subscription)| {
                rank(late) < rank(early)
                    && late.quantity <= early.quantity
                    && joined(late).is_some_and(|at| at + CLOCKS < decided(*early_id))
            };
            if let Some((early, ahead)) = notified[..place].iter().find(overtaken).filter(|_| !may_wait) {
                found.push(format!(
                    "{sku:?}, restock {restocks:?}: {early} of {ahead:?} was notified before {id} of {late:?}"
                ));
            }
        }
    }
    found
}

/// The addresses with an order for a product.
fn buyers(facts: &Facts<'_>) -> BTreeSet<(String, String)> {
    let addresses = facts.addresses();
    let mut buyers = BTreeSet::new();
    for row in facts.rows.values() {
        for email in addresses.get(&row.customer_id).into_iter().flatten() {
            buyers.extend(row.items.iter().map(|item| (email.clone(), item.sku.to_string())));
        }
    }
    buyers
}

fn rank(row: &Subscription) -> (bool, Option<i128>) {
    (row.consent.as_deref() == Some("order"), joined(row))
}

fn joined(row: &Subscription) -> Option<i128> {
    let at = OffsetDateTime::parse(row.activated_at.as_deref()?, &Rfc3339).ok()?;
    Some(at.unix_timestamp_nanos() / 1_000_000)
}

/// The time at which a delivery was decided, which its id has in milliseconds.
fn decided(id: DeliveryId) -> i128 {
    (id.uuid().as_u128() >> 80).cast_signed()
}
