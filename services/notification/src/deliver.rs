//! The room of messages: a row for each is written in the transaction that makes it due, and a worker a channel sends
//! it, again and again until the channel has taken it or never will.
//!
//! `content` is what a message says, `announce` what is worth a message, `delivery` what follows from an attempt: pure
//! all three. `queue`, `claims` and `contacts` are the SQL, `worker` joins queue and channel, `letter` renders the templates.

pub(crate) mod announce;
pub(crate) mod api;
pub(crate) mod channel;
pub(crate) mod claims;
pub(crate) mod contacts;
pub(crate) mod content;
pub(crate) mod delivery;
pub(crate) mod list;
pub(crate) mod orders;
pub(crate) mod purge;
pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod resend;
pub(crate) mod templates;
pub(crate) mod worker;
