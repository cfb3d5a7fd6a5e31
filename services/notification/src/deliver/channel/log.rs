//! The log as a channel: a line a message, and with `LOG_MESSAGES` the whole of it, so that a system on a developer's
//! machine shows what customers would read.

use std::sync::Arc;
use std::time::Duration;

use chassis::logging::NOTICE;
use events::values::EmailAddress;

use super::Channel;
use crate::deliver::content::kind_name;
use crate::deliver::delivery::{Attempt, Delivery};
use crate::deliver::templates::MailTemplates;

/// Writes messages to the log.
pub(crate) struct Log {
    /// `None`: a line is enough.
    pub letters: Option<Arc<MailTemplates>>,
}

impl Channel for Log {
    const CHANNEL: events::Channel = events::Channel::Log;
    const QUEUE: &'static str = "log";
    const LEASE: Duration = Duration::from_secs(10);
    const DEADLINE: Duration = Duration::from_secs(8);

    fn concurrency(&self) -> usize {
        200
    }

    async fn send(&self, delivery: &Delivery, to: &EmailAddress) -> Attempt {
        let content = &delivery.content;
        let (kind, recipient) = (kind_name(content.kind()), to.masked());
        let order_id = content.order_id().map(tracing::field::display);
        let sku = content.sku().map(tracing::field::display);
        let traceparent = delivery.traceparent.as_deref();
        let Some(letters) = &self.letters else {
            tracing::info!(kind, order_id, sku, recipient, traceparent, "notified");
            return Attempt::Accepted;
        };
        match letters.text(content) {
            Ok(letter) => {
                let (subject, text) = (letter.subject, letter.body);
                tracing::info!(target: NOTICE, kind, order_id, sku, text, traceparent, "to {recipient}: {subject}");
                Attempt::Accepted
            }
            Err(error) => Attempt::Blocked(format!("the template does not render: {error}")),
        }
    }
}
