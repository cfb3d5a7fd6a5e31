//! The SQL. Transactions lock in this order, here and everywhere: contacts against subscriptions of orders (an advisory lock,
//! `addressing`), stock, contact, mailbox (an advisory lock), refusal, subscription, count of confirmation mails, delivery. An erasure
//! in a batch of `customers` is the exception; the consumer retries a deadlock, an API answers 503. The clock of the database writes
//! and compares leases, due times and expiries. Other times come from the process's clock (invariant 13 in ARCHITECTURE.md).
//!
//! Copies of other services' topics: `contacts`, `orders`, `products`, `stock`, `purchases`. Messages: `deliveries` (made due,
//! cancelled), `claims` (taken by a worker), `results` (of attempts), `list`, `failed` (sent again), `mail_counts` (limits),
//! `retention`. Subscriptions: `subscriptions`, `consent` (requested, confirmed), `addressing` (made by orders), `requests`,
//! `confirmations` (mails sent and not answered), `refusals`, `objections`, `line` (a wave), `erasure`, `report`.

pub(crate) mod addressing;
pub(crate) mod claims;
pub(crate) mod confirmations;
pub(crate) mod consent;
pub(crate) mod contacts;
pub(crate) mod deliveries;
pub(crate) mod erasure;
pub(crate) mod failed;
pub(crate) mod line;
pub(crate) mod list;
pub(crate) mod mail_counts;
pub(crate) mod objections;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod purchases;
pub(crate) mod refusals;
pub(crate) mod report;
pub(crate) mod requests;
pub(crate) mod results;
pub(crate) mod retention;
pub(crate) mod stock;
pub(crate) mod subscriptions;

pub(crate) use broker::columns::{column, sequence, undecodable};
use broker::{Cause, Tx};
use events::NotificationEvent;

/// Appends an event whose sequence is the row's new `version`.
pub(crate) fn append(tx: &mut Tx, cause: Cause, version: i64, event: &NotificationEvent) -> sqlx::Result<()> {
    let appended = tx.append(cause, sequence(version), event);
    appended.map(drop).map_err(|error| sqlx::Error::Encode(error.into()))
}
