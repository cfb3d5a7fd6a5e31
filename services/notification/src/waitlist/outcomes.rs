//! Applies the result of a "back in stock" message to its subscriber. `delivery` hands results over in the transaction that
//! records them.

use broker::Tx;
use events::values::{Sku, SubscriptionId};
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::Verdict;
use crate::domain::subscription::Event;
use crate::store::{stock, subscriptions};

/// The outcome of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    subscription: SubscriptionId,
    sku: Sku,
    result: Result,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Result {
    /// Accepted: the subscriber is notified of this restock.
    Accepted { restocks: i64 },
    /// The stock was gone before: the subscriber is back on the waitlist, at the old place.
    SoldOut,
    /// The message can never arrive: the subscriber leaves the waitlist.
    Undeliverable,
}

impl Outcome {
    /// The outcome of a verdict; `None` for other messages, and while the message is still on its way.
    pub(crate) fn of(content: &Content, verdict: &Verdict) -> Option<Self> {
        let Content::BackInStock { subscription_id, sku, restocks, .. } = content else { return None };
        let result = match verdict {
            Verdict::Sent => Result::Accepted { restocks: *restocks },
            Verdict::OnHold => Result::SoldOut,
            Verdict::Failed(_) => Result::Undeliverable,
            Verdict::Retry(..) | Verdict::Deferred(..) | Verdict::NoContact(_) | Verdict::Postponed(_) => {
                return None;
            }
        };
        Some(Self { subscription: *subscription_id, sku: sku.clone(), result })
    }
}

/// Locks what the outcomes concern, before the deliveries are written: stock first, then subscriptions.
pub(crate) async fn lock(tx: &mut Tx, outcomes: &[Outcome]) -> sqlx::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    // The stock may have risen while the message was being put on hold: the wave at that moment did not see it yet.
    let sold_out = outcomes.iter().filter(|outcome| outcome.result == Result::SoldOut);
    let skus: Vec<&str> = sold_out.map(|outcome| outcome.sku.as_str()).collect();
    if !skus.is_empty() {
        stock::make_wave_due(tx, &skus).await?;
    }
    let ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.subscription.uuid()).collect();
    subscriptions::lock(tx, &ids).await
}

/// Applies the outcomes of the primary channel.
pub(crate) async fn apply(tx: &mut Tx, outcomes: &[Outcome]) -> sqlx::Result<()> {
    let (mut notified, mut restocks) = (Vec::new(), Vec::new());
    let (mut in_line, mut undeliverable) = (Vec::new(), Vec::new());
    for Outcome { subscription, result, .. } in outcomes {
        match result {
            Result::Accepted { restocks: of } => {
                notified.push(subscription.uuid());
                restocks.push(*of);
            }
            Result::SoldOut => in_line.push(subscription.uuid()),
            Result::Undeliverable => undeliverable.push(subscription.uuid()),
        }
    }
    if !notified.is_empty() {
        mark_notified(tx, &notified, &restocks).await?;
    }
    if !in_line.is_empty() {
        sqlx::query!("UPDATE subscriptions SET queued_at = NULL WHERE id = ANY($1)", &in_line)
            .execute(&mut **tx)
            .await?;
    }
    if !undeliverable.is_empty() {
        mark_undeliverable(tx, &undeliverable).await?;
    }
    Ok(())
}

/// A message that waits on another channel can go now: the subscriber is notified anyway.
async fn mark_notified(tx: &mut Tx, ids: &[Uuid], restocks: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH notified AS (
            UPDATE subscriptions
            SET state = $4, queued_at = NULL, told_restocks = notified.restocks, notified_at = now()
            FROM unnest($1::uuid[], $2::bigint[]) AS notified (id, restocks)
            WHERE subscriptions.id = notified.id AND state = ANY($3)
            RETURNING subscriptions.id
        )
        UPDATE deliveries SET next_at = now()
        FROM notified WHERE subscription_id = notified.id AND finished_at IS NULL AND next_at IS NULL
        "#,
        ids,
        restocks,
        &Event::Notified.sources() as &[&str],
        Event::Notified.target().as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn mark_undeliverable(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE subscriptions SET state = $3, queued_at = NULL, ended_at = now() WHERE id = ANY($1) AND state = ANY($2)",
        ids,
        &Event::Undeliverable.sources() as &[&str],
        Event::Undeliverable.target().as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
