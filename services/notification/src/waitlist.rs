//! The waitlist: who waits for a sold-out product, and what becomes of them. It hands messages to `store::deliveries` and never
//! sends one; `delivery` hands the results back as values (`outcomes`).
//!
//! `requests` handles what the form asked for; `addressing` what orders asked for, once the address is known. `waves` notifies
//! subscribers in the order of the line, as many as the stock allows, and never by a stale level (`freshness`). `expiry` is what
//! time does. `rekey` follows a changed `TOKEN_KEY`.

pub(crate) mod addressing;
pub(crate) mod expiry;
pub(crate) mod freshness;
pub(crate) mod outcomes;
pub(crate) mod rekey;
pub(crate) mod requests;
pub(crate) mod waves;
