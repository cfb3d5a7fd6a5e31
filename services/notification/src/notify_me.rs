//! The room of subscriptions: who wants to be told when a product is back, and what came of telling them.
//!
//! `subscribe` and `pages` are the HTTP side, `subscriptions` their SQL, `wishes` the requests that no worker has looked at
//! yet; `by_order` and `adopt` subscribe the customers of sold-out orders; `questions` and `refusals` say which mailboxes are
//! not asked; `products` and `stock` are copies of inventory's topics; `waves` notifies subscribers in order of arrival, as
//! many as the stock is good for (`budget`, `recall`) and never by a stale level (`news`); `outcome` applies the result of a
//! delivery; `purchases` links an order to the mail that led to it; `report` counts.

pub(crate) mod adopt;
pub(crate) mod budget;
pub(crate) mod by_order;
mod confirmed;
pub(crate) mod erasure;
pub(crate) mod expiry;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod news;
mod objections;
pub(crate) mod outcome;
pub(crate) mod pages;
pub(crate) mod products;
pub(crate) mod purchases;
pub(crate) mod questions;
mod recall;
pub(crate) mod reclaim;
pub(crate) mod refusals;
pub(crate) mod report;
pub(crate) mod standing;
pub(crate) mod stock;
pub(crate) mod subscribe;
pub(crate) mod subscriptions;
pub(crate) mod tokens;
pub(crate) mod unite;
pub(crate) mod waves;
pub(crate) mod wishes;
