//! Sends failed messages again, once what made them fail is repaired: an operator's command and endpoint.
//!
//! A failed delivery is armed again under its id, so that its events go on with the next sequence. A subscriber whom a failed
//! message had taken off the list goes back to the old place, and the wave decides when it is told; so stock, budget and
//! order hold as for everybody. What was sent is not touched, and neither is a recipient who asked to be forgotten.

mod api;
mod command;
mod store;

use std::fmt;

use broker::Outbox;
use events::values::{EmailAddress, OrderId, Sku};
use events::{Channel, NotificationKind};
use serde::Serialize;
use sqlx::types::Json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::content::Content;

pub(crate) use self::api::{__path_resend, resend};
pub(crate) use self::command::command;

/// Deliveries in one transaction, at most: short ones, so that nobody waits for their locks.
const CHUNK: usize = 500;

/// Which failed messages; all that are given must fit.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub kind: Option<NotificationKind>,
    pub channel: Option<Channel>,
    pub order_id: Option<OrderId>,
    pub sku: Option<Sku>,
    /// Failed then or later.
    pub since: Option<OffsetDateTime>,
    /// A part of the cause, in whatever case.
    pub cause: Option<String>,
}

/// A failed message.
#[derive(Debug)]
pub(crate) struct Failed {
    pub id: Uuid,
    pub content: Json<Content>,
    pub channel: String,
    pub cause: String,
    email: Option<String>,
    erased: bool,
}

impl Failed {
    /// The recipient, masked; `None` when the address is not known (yet, or any more).
    pub(crate) fn recipient(&self) -> Option<String> {
        let address: Option<EmailAddress> = self.email.as_ref().and_then(|email| email.parse().ok());
        address.map(|address| address.masked())
    }
}

/// What came, or would come, of a failed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is sent again.
    SentAgain,
    /// Its subscriber is back in line, at the old place, and is told when there is stock.
    BackInLine,
    /// It is left: its recipient asked to be forgotten.
    Erased,
    /// It is left: its recipient's address is not kept any more.
    Forgotten,
    /// It is left: the time to answer it is over.
    TooLate,
    /// It is left: its subscriber does not wait any more, or waits anew.
    NotWaiting,
    /// It is left: it changed meanwhile.
    Changed,
}

impl Outcome {
    /// The message is on its way again.
    pub(crate) fn is_armed(self) -> bool {
        matches!(self, Self::SentAgain | Self::BackInLine)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SentAgain => "sent again",
            Self::BackInLine => "back in line, told when there is stock",
            Self::Erased => "left: the recipient asked to be forgotten",
            Self::Forgotten => "left: the address is not kept any more",
            Self::TooLate => "left: the time to answer it is over",
            Self::NotWaiting => "left: the subscriber does not wait any more, or waits anew",
            Self::Changed => "left: it changed meanwhile",
        })
    }
}

/// What came of one transaction's messages, and where the next ones begin.
pub(crate) struct Chunk {
    pub rows: Vec<(Failed, Outcome)>,
    pub next: Option<Uuid>,
}

/// Arms the next failed messages that are wanted, behind `after`. `tells` is the channel that counts for subscribers. A dry
/// run does the same and takes it back.
pub(crate) async fn next_chunk(
    outbox: &Outbox,
    wanted: &Wanted,
    tells: Channel,
    after: Option<Uuid>,
    dry_run: bool,
) -> sqlx::Result<Chunk> {
    let mut tx = outbox.begin().await?;
    let found = store::failed(&mut tx, wanted, after, CHUNK).await?;
    let next = found.last().map(|row| row.id).filter(|_| found.len() == CHUNK);
    store::lock(&mut tx, &found).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let outcome = store::arm(&mut tx, &row, tells, OffsetDateTime::now_utc()).await?;
        rows.push((row, outcome));
    }
    if !dry_run {
        tx.commit().await?;
    }
    Ok(Chunk { rows, next })
}
