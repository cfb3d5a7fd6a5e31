//! Notify Me, from the sold-out order to the order that follows a back-in-stock mail, with the failures that are common
//! in shop systems; one file per topic.

mod claims;
mod consent;
mod crashes;
mod erasure;
mod links;
mod outages;
mod purchases;
mod refusals;
mod scale;
mod stale;
mod waves;
