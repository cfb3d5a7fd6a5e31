//! Applies the result of a "back in stock" message to its subscriber. `delivery` hands results over in the transaction that
//! records them.

use broker::Tx;
use events::values::{Sku, SubscriptionId};
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::delivery::Verdict;
use crate::domain::subscription::Event;
use crate::store::{column, stock, subscriptions};

#[derive(Debug)]
pub(crate) struct Outcome {
    subscription: SubscriptionId,
    sku: Sku,
    /// The restock that the message announces.
    restocks: i64,
    /// The event of the subscription's life cycle; `None`: the stock was gone before, so the subscriber is back on the waitlist,
    /// at the old place.
    event: Option<Event>,
}

impl Outcome {
    /// The outcome of a verdict; `None` for other messages, and while the message is still on its way.
    pub(crate) fn of(content: &Content, verdict: &Verdict) -> Option<Self> {
        let Content::BackInStock { subscription_id, sku, restocks, .. } = content else { return None };
        let event = match verdict {
            Verdict::Sent => Some(Event::Notified),
            Verdict::OnHold => None,
            Verdict::Failed(_) => Some(Event::Undeliverable),
            Verdict::Retry(..) | Verdict::Deferred(..) | Verdict::NoContact(_) | Verdict::Postponed(_) => {
                return None;
            }
        };
        Some(Self { subscription: *subscription_id, sku: sku.clone(), restocks: *restocks, event })
    }
}

/// Locks what the outcomes concern, before the deliveries are written: stock first, then subscriptions.
pub(crate) async fn lock(tx: &mut Tx, outcomes: &[Outcome]) -> sqlx::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    // The stock may have risen while the message was being put on hold: the wave at that moment did not see it yet.
    let skus = column(with(outcomes, None), |outcome| outcome.sku.as_str());
    if !skus.is_empty() {
        stock::make_wave_due(tx, &skus).await?;
    }
    subscriptions::lock(tx, &ids(outcomes)).await
}

/// Applies the outcomes of the primary channel.
pub(crate) async fn apply(tx: &mut Tx, outcomes: &[Outcome]) -> sqlx::Result<()> {
    let notified: Vec<&Outcome> = with(outcomes, Some(Event::Notified)).collect();
    if !notified.is_empty() {
        mark_notified(tx, &notified).await?;
    }
    let in_line = ids(with(outcomes, None));
    if !in_line.is_empty() {
        sqlx::query!("UPDATE subscriptions SET queued_at = NULL WHERE id = ANY($1)", &in_line)
            .execute(&mut **tx)
            .await?;
    }
    let undeliverable = ids(with(outcomes, Some(Event::Undeliverable)));
    if !undeliverable.is_empty() {
        mark_undeliverable(tx, &undeliverable).await?;
    }
    Ok(())
}

fn with(outcomes: &[Outcome], event: Option<Event>) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(move |outcome| outcome.event == event)
}

fn ids<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Vec<Uuid> {
    column(outcomes, |outcome| outcome.subscription.uuid())
}

/// A message that waits on another channel can go now: the subscriber is notified anyway.
async fn mark_notified(tx: &mut Tx, notified: &[&Outcome]) -> sqlx::Result<()> {
    let query = sqlx::query!(
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
        &ids(notified.iter().copied()),
        &column(notified, |outcome| outcome.restocks),
        &Event::Notified.sources() as &[&str],
        Event::Notified.target().as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}

/// A message that waits on another channel goes too, rather than waiting for a wave that never comes.
async fn mark_undeliverable(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<()> {
    let query = sqlx::query!(
        r#"
        WITH ended AS (
            UPDATE subscriptions SET state = $3, queued_at = NULL, ended_at = now()
            WHERE id = ANY($1) AND state = ANY($2)
            RETURNING id
        )
        UPDATE deliveries SET next_at = now()
        FROM ended WHERE subscription_id = ended.id AND finished_at IS NULL AND next_at IS NULL
        "#,
        ids,
        &Event::Undeliverable.sources() as &[&str],
        Event::Undeliverable.target().as_str(),
    );
    query.execute(&mut **tx).await.map(drop)
}
