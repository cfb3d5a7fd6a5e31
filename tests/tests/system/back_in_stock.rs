//! "Notify me when it is back", from the sold-out order to the order that comes of it, and what shop systems get wrong
//! about it, a file a theme.

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
