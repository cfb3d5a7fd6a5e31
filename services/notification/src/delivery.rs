//! Delivery: one worker per channel sends what is due, again and again, until the channel accepts the message or rejects it for
//! good. It knows the waitlist, which never imports it: whether stock levels are fresh, and what a result means for a subscriber.
//!
//! `channel` are the delivery channels, `announce` makes messages about orders due, `worker` joins the channels with the queue,
//! `templates` render the messages, `quota` limits the mails to one mailbox, `resend` sends failed messages again,
//! `purge` deletes old rows.

pub(crate) mod announce;
pub(crate) mod channel;
pub(crate) mod purge;
pub(crate) mod quota;
pub(crate) mod resend;
pub(crate) mod templates;
pub(crate) mod worker;
