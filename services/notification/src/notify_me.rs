//! The room of subscriptions: who wants to be told when a product is back, and what came of telling them.
//!
//! `subscribe` and `pages` are the door, `subscriptions` their SQL, `wishes` what was asked for and not looked at yet;
//! `by_order` and `adopt` are what orders wish; `questions` and `refusals` say whom not to ask; `products` and `stock` are copies of what inventory
//! tells; `waves` tells those who wait, in order of arrival and as many as the stock is good for (`budget`, `recall`) and by no old level (`news`); `outcome`
//! is what became of a message; `purchases` closes the loop from the link in a mail to an order; `report` counts.

pub(crate) mod adopt;
pub(crate) mod budget;
pub(crate) mod by_order;
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
