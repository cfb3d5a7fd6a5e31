//! The rules, without I/O: property-tested where they decide something.
//!
//! `subscription` is the life cycle of a subscription, `budget` how many subscribers one wave notifies, `pacing` how often a
//! mailbox is asked to confirm. `content` is what a message says, `announce` which events become messages, `delivery` what
//! follows from an attempt to send one. `tokens` and `links` make what a recipient can click.

pub(crate) mod announce;
pub(crate) mod budget;
pub(crate) mod content;
pub(crate) mod delivery;
pub(crate) mod links;
pub(crate) mod pacing;
pub(crate) mod purchase;
pub(crate) mod subscription;
pub(crate) mod tokens;
