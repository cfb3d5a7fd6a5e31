//! The SQL. Transactions lock in the order stock, contact, mailbox and product (an advisory lock), refusal, subscription, count of
//! confirmation mails, delivery, here and everywhere. An erasure in a batch of `customers` is the exception; the consumer retries a
//! deadlock, an API answers 503. The clock of the database writes and compares leases, due times and
//! expiries. Other times come from the process's clock (invariant 13 in ARCHITECTURE.md).
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

use std::error::Error;

use broker::{Cause, Tx};
use envelope::Sequence;
use events::NotificationEvent;

/// One value per row, as an array parameter of a statement.
pub(crate) fn column<R, T>(rows: impl IntoIterator<Item = R>, value: impl FnMut(R) -> T) -> Vec<T> {
    rows.into_iter().map(value).collect()
}

/// Reports a stored value that this version cannot read.
pub(crate) fn undecodable(error: impl Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// Reads a sequence from its column.
pub(crate) fn sequence(number: i64) -> Sequence {
    Sequence::from_i64(number).unwrap_or_default()
}

/// Appends an event whose sequence is the row's new `version`.
pub(crate) fn append(tx: &mut Tx, cause: Cause, version: i64, event: &NotificationEvent) -> sqlx::Result<()> {
    let appended = tx.append(cause, sequence(version), event);
    appended.map(drop).map_err(|error| sqlx::Error::Encode(error.into()))
}
