//! The log as a channel: one line per message, or with `LOG_MESSAGES` the full text, which shows a developer what customers read.

use std::sync::Arc;
use std::time::Duration;

use chassis::logging::NOTICE;
use events::values::EmailAddress;

use super::Channel;
use crate::delivery::templates::{MailTemplates, Text};
use crate::domain::content::Content;
use crate::domain::delivery::{Attempt, Delivery};

#[derive(Clone)]
pub(crate) struct Log {
    /// `None` while only a line per message is logged.
    pub templates: Option<Arc<MailTemplates>>,
}

/// A message that can be logged.
pub(crate) struct Line<'a> {
    content: &'a Content,
    traceparent: Option<&'a str>,
    recipient: String,
    /// The full text.
    text: Option<Text>,
}

impl Log {
    /// Returns the line of a message, or the reason why it cannot be logged.
    pub(crate) fn line<'a>(
        &self,
        content: &'a Content,
        traceparent: Option<&'a str>,
        to: &EmailAddress,
    ) -> Result<Line<'a>, String> {
        let text = self.templates.as_ref().map(|templates| templates.text(content)).transpose();
        let text = text.map_err(|error| format!("the template does not render: {error}"))?;
        Ok(Line { content, traceparent, recipient: to.masked(), text })
    }
}

impl Line<'_> {
    pub(crate) fn write(self) {
        let Self { content, traceparent, recipient, text } = self;
        let kind = <&str>::from(content.kind());
        let order_id = content.order_id().map(tracing::field::display);
        let sku = content.sku().map(tracing::field::display);
        if let Some(Text { subject, body: text }) = text {
            tracing::info!(target: NOTICE, kind, order_id, sku, text, traceparent, "to {recipient}: {subject}");
        } else {
            tracing::info!(kind, order_id, sku, recipient, traceparent, "notified");
        }
    }
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
        match self.line(&delivery.content, delivery.traceparent.as_deref(), to) {
            Ok(line) => {
                line.write();
                Attempt::Accepted
            }
            Err(cause) => Attempt::Blocked(cause),
        }
    }
}
