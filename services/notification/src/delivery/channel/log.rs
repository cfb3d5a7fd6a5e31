//! The log as a channel: one line per message, or with `LOG_MESSAGES` the full text, which shows a developer what customers read.

use std::sync::Arc;
use std::time::Duration;

use chassis::logging::NOTICE;
use events::values::EmailAddress;

use super::Channel;
use crate::delivery::templates::MailTemplates;

use crate::domain::delivery::{Attempt, Delivery};

/// Writes messages to the log.
pub(crate) struct Log {
    /// `None` while only a line per message is logged.
    pub templates: Option<Arc<MailTemplates>>,
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
        let (kind, recipient) = (<&str>::from(content.kind()), to.masked());
        let order_id = content.order_id().map(tracing::field::display);
        let sku = content.sku().map(tracing::field::display);
        let traceparent = delivery.traceparent.as_deref();
        let Some(templates) = &self.templates else {
            tracing::info!(kind, order_id, sku, recipient, traceparent, "notified");
            return Attempt::Accepted;
        };
        match templates.text(content) {
            Ok(message) => {
                let (subject, text) = (message.subject, message.body);
                tracing::info!(target: NOTICE, kind, order_id, sku, text, traceparent, "to {recipient}: {subject}");
                Attempt::Accepted
            }
            Err(error) => Attempt::Blocked(format!("the template does not render: {error}")),
        }
    }
}
