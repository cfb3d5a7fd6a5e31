//! Sends failed messages again, after the cause of the failure is repaired: the operator's command and endpoint.
//!
//! A failed delivery becomes due again under its id, so its events continue with the next sequence. A subscriber whom a failed
//! message took off the list returns to the old place, and a wave decides when to notify; so stock, budget and order hold as for
//! everybody. Sent messages are not touched, nor are those to recipients who asked to be forgotten.

use broker::{Outbox, Tx};
use events::Channel;
use serde::Serialize;
use strum::Display;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::content::Content;
use crate::store::failed::{self, Failed, Filter};
use crate::store::subscriptions;

/// The most deliveries per transaction: short ones, so that nobody waits for their locks.
const CHUNK: usize = 500;

/// The result for a failed message; in a dry run, the result that it would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, Display)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is sent again.
    #[strum(to_string = "sent again")]
    SentAgain,
    /// Its subscriber is back on the waitlist, at the old place, and is notified when the product is in stock.
    #[strum(to_string = "back on the waitlist, notified when the product is in stock")]
    BackInLine,
    /// Not sent: its recipient asked to be forgotten.
    #[strum(to_string = "left: the recipient asked to be forgotten")]
    Erased,
    /// Not sent: its recipient's address is not stored any more.
    #[strum(to_string = "left: the address is not stored any more")]
    Forgotten,
    /// Not sent: the time to answer it is over.
    #[strum(to_string = "left: the time to answer it is over")]
    TooLate,
    /// Not sent: its subscriber does not wait any more, or has subscribed again.
    #[strum(to_string = "left: the subscriber does not wait any more, or has subscribed again")]
    NotWaiting,
    /// Not sent: it changed meanwhile.
    #[strum(to_string = "left: it changed meanwhile")]
    Changed,
}

impl Outcome {
    /// The message is on its way again.
    pub(crate) fn is_resent(self) -> bool {
        matches!(self, Self::SentAgain | Self::BackInLine)
    }
}

/// The results of one transaction, and the id behind which the next one begins.
pub(crate) struct Chunk {
    pub rows: Vec<(Failed, Outcome)>,
    pub next: Option<Uuid>,
}

/// Sends the next failed messages behind `after` again. `primary` is the channel that decides whether a subscriber is notified.
/// A dry run does the same and rolls it back.
pub(crate) async fn next_chunk(
    outbox: &Outbox,
    filter: &Filter,
    primary: Channel,
    after: Option<Uuid>,
    dry_run: bool,
) -> sqlx::Result<Chunk> {
    let mut tx = outbox.begin().await?;
    let found = failed::find(&mut tx, filter, after, CHUNK).await?;
    let next = found.last().map(|row| row.id).filter(|_| found.len() == CHUNK);
    failed::lock(&mut tx, &found).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let outcome = resend(&mut tx, &row, primary).await?;
        rows.push((row, outcome));
    }
    if !dry_run {
        tx.commit().await?;
    }
    Ok(Chunk { rows, next })
}

async fn resend(tx: &mut Tx, row: &Failed, primary: Channel) -> sqlx::Result<Outcome> {
    if row.is_erased()? {
        return Ok(Outcome::Erased);
    }
    let is_primary = row.channel == <&str>::from(primary);
    let (possible, due, resent) = match &row.content.0 {
        Content::ConfirmSubscription { .. } if row.expired => return Ok(Outcome::TooLate),
        Content::ConfirmSubscription { subscription_id, .. } => {
            (subscriptions::can_be_confirmed(tx, *subscription_id).await?, true, Outcome::SentAgain)
        }
        Content::BackInStock { .. } if row.email.is_none() => return Ok(Outcome::Forgotten),
        Content::BackInStock { subscription_id, .. } if is_primary => {
            (subscriptions::restore_place(tx, *subscription_id).await?, false, Outcome::BackInLine)
        }
        _ => (true, true, Outcome::SentAgain),
    };
    if !possible {
        return Ok(Outcome::NotWaiting);
    }
    let changed = failed::make_due(tx, row.id, due).await?;
    Ok(if changed { resent } else { Outcome::Changed })
}
