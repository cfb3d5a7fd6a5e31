//! Messages about orders. The log needs no queue: a message to a known customer is logged in the transaction that makes it due,
//! just before the commit, so that a crash repeats the line rather than losing it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker::Tx;
use events::Channel;

use super::channel::log::{Line, Log};
use super::worker::count;
use crate::domain::delivery::{self, Message, Verdict};
use crate::own;
use crate::store::{append, deliveries};

#[derive(Clone)]
pub(crate) struct Announcer {
    /// The channels that each message takes.
    pub channels: Arc<[Channel]>,
    pub log: Log,
}

impl Announcer {
    /// Inserts one delivery per message and channel, and logs the messages that the log can take at once. Returns whether some
    /// are due.
    pub(crate) async fn announce(&self, tx: &mut Tx, messages: &[Message]) -> sqlx::Result<bool> {
        if messages.is_empty() {
            return Ok(false);
        }
        let recipients = deliveries::recipients(tx, messages).await?;
        let mut lines: BTreeMap<usize, Line<'_>> = messages
            .iter()
            .enumerate()
            .filter_map(|(index, Message { content, cause, .. })| {
                let to = recipients.get(&content.order_id()?)?;
                Some((index, self.log.line(content, cause.traceparent.as_deref(), to).ok()?))
            })
            .collect();
        let logged: BTreeSet<usize> = lines.keys().copied().collect();
        let inserted = deliveries::insert_logged(tx, messages, &self.channels, &logged).await?;
        for (index, id) in inserted.sent {
            let Message { content, cause, .. } = &messages[index];
            if let Some(event) = delivery::event(id, content, Channel::Log, &Verdict::Sent) {
                append(tx, cause.clone(), FIRST_VERSION, &event)?;
            }
            if let Some(line) = lines.remove(&index) {
                line.write();
            }
            let kind = content.kind();
            tx.on_commit(move || count(kind, Channel::Log, &Verdict::Sent));
        }
        if !inserted.are_all_new {
            own::complete(tx, messages).await?;
        }
        Ok(inserted.are_some_due)
    }
}

/// The version of a delivery that is inserted as sent.
const FIRST_VERSION: i64 = 1;
