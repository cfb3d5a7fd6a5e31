//! The waitlist: the subscribers who wait for a sold-out product. It hands messages to `store::deliveries` and never
//! sends one; `delivery` hands the results back as values (`outcomes`).
//!
//! `requests` handles the requests of the form; `addressing` those of orders, once the address is known. `waves` notifies
//! subscribers in waitlist order, as many as the stock allows, and never by a stale level (`freshness`). `expiry` ends
//! subscriptions after their time. `rekey` adapts claims to a changed `TOKEN_KEY`.

pub(crate) mod addressing;
pub(crate) mod expiry;
pub(crate) mod freshness;
pub(crate) mod outcomes;
pub(crate) mod rekey;
pub(crate) mod requests;
pub(crate) mod waves;
