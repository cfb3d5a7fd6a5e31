//! What became of a "back in stock" message, for the one who waits: told when the channel that counts has accepted it,
//! back in place when the stock was gone before, off the list when it can never arrive.

use broker::Tx;
use uuid::Uuid;

use super::stock;
use crate::deliver::content::Content;
use crate::deliver::delivery::{Delivery, Verdict};

/// Locks what the verdicts concern, before the deliveries are written: stock first, then subscriptions.
pub(crate) async fn lock(tx: &mut Tx, verdicts: &[(&Delivery, Verdict)]) -> sqlx::Result<()> {
    let (mut ids, mut held) = (Vec::new(), Vec::new());
    for (delivery, verdict) in verdicts {
        if let Content::BackInStock { subscription_id, sku, .. } = &delivery.content {
            ids.push(subscription_id.uuid());
            if *verdict == Verdict::Held {
                held.push(sku.as_str());
            }
        }
    }
    if !held.is_empty() {
        // The stock may have risen while the message was being held: the wave at that moment did not see it yet.
        stock::look_again(tx, &held).await?;
    }
    if !ids.is_empty() {
        sqlx::query!("SELECT FROM subscriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE", &ids)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Applies verdicts of the channel that counts.
pub(crate) async fn apply<'a>(
    tx: &mut Tx,
    verdicts: impl Iterator<Item = &'a (&'a Delivery, Verdict)>,
) -> sqlx::Result<()> {
    let (mut told, mut restocks, mut held, mut undeliverable) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (delivery, verdict) in verdicts {
        let Content::BackInStock { subscription_id, restocks: of, .. } = &delivery.content else { continue };
        match verdict {
            Verdict::Sent => {
                told.push(subscription_id.uuid());
                restocks.push(*of);
            }
            Verdict::Held => held.push(subscription_id.uuid()),
            Verdict::Failed(_) => undeliverable.push(subscription_id.uuid()),
            Verdict::Again(..) | Verdict::Deferred(..) | Verdict::Waiting(_) | Verdict::PutOff(_) => {}
        }
    }
    if !told.is_empty() {
        tell(tx, &told, &restocks).await?;
    }
    if !held.is_empty() || !undeliverable.is_empty() {
        sqlx::query!(
            r#"
            UPDATE subscriptions
            SET queued_at = NULL, state = CASE WHEN id = ANY($2) THEN 'lapsed' ELSE state END,
                ended_at = CASE WHEN id = ANY($2) THEN now() ELSE ended_at END
            WHERE (id = ANY($1) OR id = ANY($2)) AND state = 'waiting'
            "#,
            &held,
            &undeliverable,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Told: leaves the queue. What another channel held back of it can go.
async fn tell(tx: &mut Tx, told: &[Uuid], restocks: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH told AS (
            UPDATE subscriptions
            SET state = 'notified', queued_at = NULL, told_restocks = told.restocks, notified_at = now()
            FROM unnest($1::uuid[], $2::bigint[]) AS told (id, restocks)
            WHERE subscriptions.id = told.id AND state = 'waiting'
            RETURNING subscriptions.id
        )
        UPDATE deliveries SET next_at = now()
        FROM told WHERE subscription_id = told.id AND finished_at IS NULL AND next_at IS NULL
        "#,
        told,
        restocks,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
